#include "vulkan/buffer.h"

#include <cstring>
#include <utility>

#include "tests/unit/vulkan/devices.h"

namespace heed::vk {
namespace {

constexpr VkFormat kFloats = VK_FORMAT_R32_SFLOAT;
constexpr VkFormat kWords4 = VK_FORMAT_R32G32B32A32_UINT;

TEST_CASE("memory for the host is mapped whole and keeps what is written") {
  on_every_device([](const Device& device) {
    for (const MemoryUse use : {MemoryUse::Upload, MemoryUse::Readback}) {
      for (const std::uint64_t size : {1, 3, 4096, 1000003}) {
        const Buffer buffer(device, size, use, "host memory");
        CHECK(buffer.size() == size);
        REQUIRE(buffer.mapped().size() == size);
        std::memset(buffer.mapped().data(), 0x5a, size);
        CHECK(buffer.mapped().front() == std::byte{0x5a});
        CHECK(buffer.mapped().back() == std::byte{0x5a});
      }
    }
  });
}

TEST_CASE("device memory is mapped on a CPU driver") {
  on_every_device([](const Device& device) {
    const Buffer buffer(device, 1000, MemoryUse::Device, "device memory");
    if (device.physical().type == VK_PHYSICAL_DEVICE_TYPE_CPU) CHECK(buffer.mapped().size() == 1000);
  });
}

TEST_CASE("buffers move and are freed once") {
  on_every_device([](const Device& device) {
    Buffer first(device, 64, MemoryUse::Upload, "first");
    first.mapped()[0] = std::byte{1};
    const VkBuffer handle = first.handle();
    Buffer second = std::move(first);
    CHECK(second.handle() == handle);
    CHECK(second.mapped()[0] == std::byte{1});
    second = Buffer(device, 128, MemoryUse::Upload, "third");
    CHECK(second.size() == 128);
    CHECK(second.mapped().size() == 128);
  });
}

TEST_CASE("absurd sizes are errors that say what, where and how much") {
  on_every_device([](const Device& device) {
    const char* name = device.physical().name.c_str();
    for (const MemoryUse use : {MemoryUse::Device, MemoryUse::Upload, MemoryUse::Readback}) {
      CHECK_THROWS_WITH_AS(Buffer(device, 0, use, "empty"), doctest::Contains("'empty'"), Error);
      for (const std::uint64_t size : {UINT64_MAX, UINT64_MAX - 255, std::uint64_t{1} << 62, std::uint64_t{1} << 48}) {
        CHECK_THROWS_WITH_AS(Buffer(device, size, use, "huge"), doctest::Contains("'huge'"), Error);
        CHECK_THROWS_WITH_AS(Buffer(device, size, use, "huge"), doctest::Contains(name), Error);
      }
    }
  });
}

TEST_CASE("more than the heap holds is out of memory, naming heap and sizes") {
  on_every_device([](const Device& device) {
    // A device that claims 4 KiB heaps: nothing is really exhausted.
    PhysicalDevice small = device.physical();
    for (VkMemoryHeap& heap : small.memory.memoryHeaps) heap.size = 4096;
    const Device cramped(small);
    CHECK_NOTHROW(Buffer(cramped, 64, MemoryUse::Device, "fits"));
    CHECK_THROWS_WITH_AS(Buffer(cramped, 1 << 20, MemoryUse::Device, "weights"), doctest::Contains("out of memory"),
                         Error);
    CHECK_THROWS_WITH_AS(Buffer(cramped, 1 << 20, MemoryUse::Upload, "weights"), doctest::Contains("has 4096 bytes"),
                         Error);
  });
}

TEST_CASE("views must lie inside the buffer, aligned, in whole texels, within the limit") {
  on_every_device([](const Device& device) {
    const VkPhysicalDeviceLimits& limits = device.physical().limits;
    const Buffer buffer(device, 4096, MemoryUse::Device, "viewed");
    CHECK_NOTHROW(BufferView(device, buffer, kFloats, 0, 4096));
    CHECK_NOTHROW(BufferView(device, buffer, kWords4, 1024, 3072));
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, 0, 4100), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, 4096, 4), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, 1024, UINT64_MAX - 3), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, UINT64_MAX - 1023, 4), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, 0, 0), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kFloats, 0, 6), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, kWords4, 0, 8), Error);
    CHECK_THROWS_AS(BufferView(device, buffer, VK_FORMAT_R8_UNORM, 0, 4), Error);
    if (limits.minTexelBufferOffsetAlignment > 1) {
      CHECK_THROWS_WITH_AS(BufferView(device, buffer, kFloats, 1, 4),
                           doctest::Contains("minTexelBufferOffsetAlignment"), Error);
    }

    PhysicalDevice narrow = device.physical();
    narrow.limits.maxTexelBufferElements = 100;
    const Device other(narrow);
    const Buffer big(other, 4096, MemoryUse::Device, "viewed");
    CHECK_NOTHROW(BufferView(other, big, kFloats, 0, 400));
    CHECK_THROWS_WITH_AS(BufferView(other, big, kFloats, 0, 404), doctest::Contains("maxTexelBufferElements"), Error);
  });
}

}  // namespace
}  // namespace heed::vk
