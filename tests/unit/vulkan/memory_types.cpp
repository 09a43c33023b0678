// Which memory is taken for what, on devices that need not be here.
#include "vulkan/memory_types.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace heed::vk {
namespace {

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
constexpr std::uint64_t kMiB = 1 << 20;

struct Heap {
  std::uint64_t size;
  bool local;
};
struct Type {
  VkMemoryPropertyFlags properties;
  std::uint32_t heap;
};

PhysicalDevice described(VkPhysicalDeviceType type, std::initializer_list<Heap> heaps,
                         std::initializer_list<Type> types) {
  PhysicalDevice device;
  device.type = type;
  for (const Heap& heap : heaps) {
    const VkMemoryHeapFlags flags = heap.local ? VK_MEMORY_HEAP_DEVICE_LOCAL_BIT : 0;
    device.memory.memoryHeaps[device.memory.memoryHeapCount++] = {heap.size, flags};
  }
  for (const Type& memory : types) {
    device.memory.memoryTypes[device.memory.memoryTypeCount++] = {memory.properties, memory.heap};
  }
  return device;
}

using Types = std::vector<std::uint32_t>;

Types types_for(const PhysicalDevice& device, MemoryUse use) { return memory_types(device, UINT32_MAX, use); }

/// A card of 8 GiB that shows 256 MiB of it to the host, as AMD's and NVIDIA's did before resizable BARs.
PhysicalDevice classic_card() {
  return described(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                   {{8192 * kMiB, true}, {16384 * kMiB, false}, {256 * kMiB, true}},
                   {{0, 1},
                    {kLocal, 0},
                    {kMappable, 1},
                    {kMappable | kCached, 1},
                    {kLocal | kMappable, 2},
                    {kLocal | kMappable | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD, 2}});
}

/// 512 MiB that the firmware set aside, and half of the machine's memory.
PhysicalDevice integrated_with_little() {
  return described(VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, {{512 * kMiB, true}, {8192 * kMiB, false}},
                   {{kLocal, 0}, {kLocal | kMappable, 0}, {kMappable, 1}, {kMappable | kCached, 1}});
}

}  // namespace

TEST_CASE("weights never fall into a classic card's window, nor behind its bus") {
  const PhysicalDevice device = classic_card();
  CHECK(types_for(device, MemoryUse::Device) == Types{1});
  CHECK(types_for(device, MemoryUse::Upload) == Types{3, 2, 4});
  CHECK(types_for(device, MemoryUse::Readback) == Types{3, 2, 4});
  CHECK(memory_types(device, ~(1u << 1), MemoryUse::Device).empty());
}

TEST_CASE("a card that shows all of its memory has it written to directly") {
  const PhysicalDevice device =
      described(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, {{8192 * kMiB, true}, {16384 * kMiB, false}},
                {{kLocal, 0}, {kMappable, 1}, {kLocal | kMappable, 0}});
  CHECK(types_for(device, MemoryUse::Device) == Types{2, 0});
}

TEST_CASE("an integrated GPU with little memory of its own goes on with the machine's") {
  CHECK(types_for(integrated_with_little(), MemoryUse::Device) == Types{1, 0, 2, 3});
  const PhysicalDevice unified = described(VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, {{16384 * kMiB, true}},
                                           {{kLocal | kMappable, 0}, {kLocal | kMappable | kCached, 0}});
  CHECK(types_for(unified, MemoryUse::Device) == Types{0, 1});
}

TEST_CASE("what is left for a model counts each heap that it may come from once") {
  std::uint64_t left[VK_MAX_MEMORY_HEAPS] = {100, 1000, 10000};
  CHECK(left_for_device(classic_card(), left) == 100);
  CHECK(left_for_device(integrated_with_little(), left) == 1100);
  left[1] = UINT64_MAX;
  CHECK(left_for_device(integrated_with_little(), left) == UINT64_MAX);
  CHECK(memory_left(classic_card()).bytes == 8192 * kMiB);  // of a driver that names no budget
  CHECK(!memory_left(classic_card()).budget);
}

}  // namespace heed::vk
