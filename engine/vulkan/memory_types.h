#pragma once

#include <volk.h>

#include <cstdint>
#include <vector>

#include "vulkan/physical_device.h"

namespace heed::vk {

/// What memory is for; the kind of memory follows from it.
enum class MemoryUse : std::uint8_t {
  Device,  // the GPU reads and writes: device-local; mapped too where that costs nothing (unified memory, CPU drivers,
           // a BAR as large as the memory). Other memory only where an integrated GPU has little of its own
  Upload,  // the host writes, the GPU reads: always mapped, cached where there is a choice
  Readback,  // the GPU writes, the host reads: always mapped, cached where there is a choice
};

/// Mapped and coherent: what the host reads and writes without further calls.
inline constexpr VkMemoryPropertyFlags kMappable =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

/// Indices of the memory types out of `allowed`, a bit each, that serve a use, best first; among equals the driver's
/// order, which is by speed. Looks at nothing but `type` and `memory`, so that devices can be described.
std::vector<std::uint32_t> memory_types(const PhysicalDevice& physical, std::uint32_t allowed, MemoryUse use);

/// What is left for this program of the heaps that MemoryUse::Device takes from.
struct MemoryLeft {
  std::uint64_t bytes = 0;
  bool budget = false;  // as the driver says at this moment, else all that there is
};
/// The sum over those heaps, given what is left of each.
std::uint64_t left_for_device(const PhysicalDevice& physical, const std::uint64_t (&left)[VK_MAX_MEMORY_HEAPS]);
/// Asks the driver (VK_EXT_memory_budget). Any thread.
MemoryLeft memory_left(const PhysicalDevice& physical);

}  // namespace heed::vk
