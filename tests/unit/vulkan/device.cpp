#include "vulkan/device.h"

#include <array>
#include <optional>
#include <utility>

#include "tests/unit/vulkan/devices.h"
#include "vulkan/buffer.h"
#include "vulkan/fence.h"

namespace heed::vk {
namespace {

TEST_CASE("a usable device says everything that Vulkan 1.1 guarantees") {
  on_every_device([](const Device& device) {
    const PhysicalDevice& physical = device.physical();
    CHECK_FALSE(physical.name.empty());
    CHECK_FALSE(physical.driver_version.empty());
    CHECK(physical.api_version >= VK_API_VERSION_1_1);
    CHECK(physical.limits.maxPushConstantsSize >= 128);
    CHECK(physical.limits.maxTexelBufferElements >= 65536);
    CHECK(physical.limits.maxComputeWorkGroupInvocations >= 128);
    CHECK(physical.max_memory_allocation_size >= (1u << 30));
    CHECK(physical.max_buffer_size >= (1u << 30));
    CHECK(physical.device_memory() > 0);
    CHECK(physical.memory.memoryTypeCount > 0);
    CHECK(physical.subgroup_size >= 1);
    CHECK((physical.subgroup_size & (physical.subgroup_size - 1)) == 0);
    CHECK(physical.subgroup_sizes.min <= physical.subgroup_size);
    CHECK(physical.subgroup_sizes.max >= physical.subgroup_size);
    CHECK(physical.has_subgroup_operations(VK_SUBGROUP_FEATURE_BASIC_BIT));
    CHECK(physical.texel_formats);  // these formats are mandatory
    CHECK(physical.device_uuid != std::array<std::uint8_t, VK_UUID_SIZE>{});
    if (physical.has_extension(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) CHECK_FALSE(physical.driver_name.empty());
    CHECK_FALSE(physical.has_extension("VK_HEED_no_such_extension"));
  });
}

TEST_CASE("names and numbers as text") {
  CHECK(version_text(VK_MAKE_API_VERSION(0, 1, 3, 230)) == "1.3.230");
  CHECK(type_name(VK_PHYSICAL_DEVICE_TYPE_CPU) == "CPU");
  CHECK(uuid_text({0x6d, 0x65, 0x73, 0x61, 0x32, 0x32, 0x2e, 0x33, 0x2e, 0x36, 0, 0, 0, 0, 0, 0xff}) ==
        "6d657361-3232-2e33-2e36-0000000000ff");
}

TEST_CASE("a device enables every feature it has, and refuses those it has not") {
  on_every_device([](const Device& device) {
    const PhysicalDevice& physical = device.physical();
    const Device everything(physical, physical.features);
    CHECK(everything.features().storage_16bit == physical.features.storage_16bit);
    CHECK(everything.handle() != device.handle());

    PhysicalDevice lacking = physical;
    lacking.features = {};
    CHECK_THROWS_WITH_AS(Device(lacking, {.shader_float16 = true}), doctest::Contains("shaderFloat16"), Error);
    CHECK_THROWS_WITH_AS(Device(lacking, {.robust_buffer_access = true}), doctest::Contains(physical.name.c_str()),
                         Error);
  });
}

TEST_CASE("an unusable device is refused with its reason") {
  PhysicalDevice physical;
  physical.name = "Old Card";
  physical.unusable = "its driver offers Vulkan 1.0.3, heed needs 1.1";
  CHECK_THROWS_WITH_AS(Device{physical}, doctest::Contains("Old Card"), Error);
  CHECK_THROWS_WITH_AS(Device{physical}, doctest::Contains("1.0.3"), Error);
}

TEST_CASE("what is made from a device survives its being moved") {
  on_every_device([](const Device& device) {
    std::optional<Device> second;  // declared before what must go before it
    Device first(device.physical());
    const VkDevice handle = first.handle();
    const Fence fence(first);
    const Buffer buffer(first, 64, MemoryUse::Upload, "moved");
    second.emplace(std::move(first));
    CHECK(second->handle() == handle);
    second->submit({}, fence.handle());
    CHECK(fence.wait(kPatienceNs));
    second->wait_idle();
  });
}

TEST_CASE("a fence waits, times out, and starts over") {
  on_every_device([](const Device& device) {
    Fence fence(device);
    CHECK_FALSE(fence.wait(0));
    CHECK_THROWS_WITH_AS(fence.wait_or_throw(1'000'000, "decode step"), doctest::Contains("decode step"), Error);
    device.submit({}, fence.handle());
    CHECK_NOTHROW(fence.wait_or_throw(kPatienceNs, "empty submission"));
    CHECK(fence.wait(0));
    fence.reset();
    CHECK_FALSE(fence.wait(0));
  });
}

}  // namespace
}  // namespace heed::vk
