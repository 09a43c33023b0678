#include "vulkan/memory_types.h"

#include <algorithm>
#include <set>

namespace heed::vk {
namespace {

/// How well memory with these properties serves a use; 0 is not at all. `whole_device` says that its heap is the
/// device's main memory.
int score(VkPhysicalDeviceType type, VkMemoryPropertyFlags properties, bool whole_device, MemoryUse use) {
  // DEVICE_COHERENT (AMD) needs a feature that is not enabled and is slow; PROTECTED and LAZILY_ALLOCATED are not for
  // buffers that anybody reads.
  constexpr VkMemoryPropertyFlags kNever = VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
                                           VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
  if ((properties & kNever) != 0) return 0;
  const bool local = (properties & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0;
  const bool mappable = (properties & kMappable) == kMappable;
  const bool cached = (properties & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
  switch (use) {
    case MemoryUse::Device:
      if (local && whole_device) return mappable ? 4 : 3;
      // Classic discrete cards map 256 MiB of their memory through a heap of its own, which drivers need themselves.
      if (local) return type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU && mappable ? 0 : 2;
      // Of an integrated GPU's memory only a part that the firmware set aside may be called its own. The rest is as
      // good; behind a discrete card's bus it is not.
      return type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU && mappable ? 1 : 0;
    case MemoryUse::Upload:
      if (!mappable) return 0;
      // Cached, since it may be written in any order; copies out of it are as fast.
      return 1 + (local ? 0 : 2) + (cached ? 1 : 0);
    case MemoryUse::Readback:
      if (!mappable) return 0;
      return 1 + (local ? 0 : 1) + (cached ? 2 : 0);
  }
  return 0;
}

}  // namespace

std::vector<std::uint32_t> memory_types(const PhysicalDevice& physical, std::uint32_t allowed, MemoryUse use) {
  constexpr int kBest = 4;
  const VkPhysicalDeviceMemoryProperties& memory = physical.memory;
  const std::uint64_t device_memory = physical.device_memory();
  std::vector<std::uint32_t> types;
  for (int wanted = kBest; wanted > 0; --wanted) {
    for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
      if ((allowed & (1u << i)) == 0) continue;
      const VkMemoryType& type = memory.memoryTypes[i];
      const bool whole_device = memory.memoryHeaps[type.heapIndex].size == device_memory;
      if (score(physical.type, type.propertyFlags, whole_device, use) == wanted) types.push_back(i);
    }
  }
  return types;
}

std::uint64_t left_for_device(const PhysicalDevice& physical, const std::uint64_t (&left)[VK_MAX_MEMORY_HEAPS]) {
  std::set<std::uint32_t> heaps;
  for (const std::uint32_t type : memory_types(physical, UINT32_MAX, MemoryUse::Device)) {
    heaps.insert(physical.memory.memoryTypes[type].heapIndex);
  }
  std::uint64_t sum = 0;
  for (const std::uint32_t heap : heaps) sum += std::min(left[heap], UINT64_MAX - sum);
  return sum;
}

MemoryLeft memory_left(const PhysicalDevice& physical) {
  const bool asked = physical.has_extension(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  std::uint64_t left[VK_MAX_MEMORY_HEAPS] = {};
  for (std::uint32_t i = 0; i < physical.memory.memoryHeapCount; ++i) left[i] = physical.memory.memoryHeaps[i].size;
  if (asked) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    VkPhysicalDeviceMemoryProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    properties.pNext = &budget;
    vkGetPhysicalDeviceMemoryProperties2(physical.handle, &properties);
    for (std::uint32_t i = 0; i < physical.memory.memoryHeapCount; ++i) {
      // A budget may be exceeded, and is at times said to be larger than the heap.
      left[i] = std::min(left[i], budget.heapBudget[i] - std::min(budget.heapBudget[i], budget.heapUsage[i]));
    }
  }
  return {left_for_device(physical, left), asked};
}

}  // namespace heed::vk
