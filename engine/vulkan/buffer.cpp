#include "vulkan/buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {
namespace {

std::string bytes_text(std::uint64_t bytes) {
  return fmt::format("{} bytes ({:.1f} MiB)", bytes, static_cast<double>(bytes) / (1024.0 * 1024.0));
}

bool is_out_of_memory(VkResult result) {
  return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY;
}

struct Allocation {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkMemoryPropertyFlags properties = 0;
};

Allocation allocate(const Device& device, const VkMemoryRequirements& needs, MemoryUse use, std::string_view purpose) {
  const PhysicalDevice& physical = device.physical();
  const VkPhysicalDeviceMemoryProperties& memory = physical.memory;
  const std::vector<std::uint32_t> types = memory_types(physical, needs.memoryTypeBits, use);
  if (types.empty()) {
    throw Error(
        fmt::format("buffer '{}': device '{}' offers no memory for it (types allowed: {:#x}); update the driver",
                    purpose, physical.name, needs.memoryTypeBits));
  }
  for (const std::uint32_t type : types) {
    if (needs.size > memory.memoryHeaps[memory.memoryTypes[type].heapIndex].size) continue;  // not even to be asked for
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = nullptr,
                                       .allocationSize = needs.size,
                                       .memoryTypeIndex = type};
    Allocation allocation = {.memory = VK_NULL_HANDLE, .properties = memory.memoryTypes[type].propertyFlags};
    const VkResult result = device.api().vkAllocateMemory(device.handle(), &info, nullptr, &allocation.memory);
    if (result == VK_SUCCESS) return allocation;
    if (!is_out_of_memory(result)) check(result, "vkAllocateMemory", purpose);
  }
  const std::uint32_t heap = memory.memoryTypes[types.front()].heapIndex;
  throw Error(fmt::format(
      "buffer '{}': out of memory on device '{}': asked for {}, heap {} has {} in all; close other programs "
      "that use the device, or use a smaller model, context or batch",
      purpose, physical.name, bytes_text(needs.size), heap, bytes_text(memory.memoryHeaps[heap].size)));
}

void check_size(const PhysicalDevice& physical, std::uint64_t size, std::string_view purpose) {
  if (size == 0) throw Error(fmt::format("buffer '{}': has no bytes; at least 1 is needed", purpose));
  const auto check_limit = [&](std::uint64_t limit, std::string_view name) {
    if (size <= limit) return;
    throw Error(
        fmt::format("buffer '{}': {} asked, device '{}' allows {} in one piece ({}); split it, or use a "
                    "smaller model, context or batch",
                    purpose, bytes_text(size), physical.name, bytes_text(limit), name));
  };
  check_limit(physical.max_buffer_size, "maxBufferSize");
  check_limit(physical.max_memory_allocation_size, "maxMemoryAllocationSize");
}

/// Bytes of a texel, for the formats that PhysicalDevice::texel_formats stands for.
std::uint64_t texel_bytes(VkFormat format) {
  switch (format) {
    case VK_FORMAT_R32G32B32A32_SFLOAT:
    case VK_FORMAT_R32G32B32A32_UINT:
      return 16;
    case VK_FORMAT_R32G32_UINT:
      return 8;
    case VK_FORMAT_R32_SFLOAT:
    case VK_FORMAT_R32_UINT:
    case VK_FORMAT_R32_SINT:
      return 4;
    default:
      throw Error(fmt::format("texel view: VkFormat {} is not one that heed reads", static_cast<int>(format)));
  }
}

}  // namespace

Buffer::Buffer(const Device& device, std::uint64_t size, MemoryUse use, std::string_view purpose) : size_(size) {
  check_size(device.physical(), size, purpose);
  const VolkDeviceTable& api = device.api();
  const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                   .pNext = nullptr,
                                   .flags = 0,
                                   .size = size,
                                   .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                            VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                                            VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                   .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
                                   .queueFamilyIndexCount = 0,
                                   .pQueueFamilyIndices = nullptr};
  VkBuffer buffer = VK_NULL_HANDLE;
  check(api.vkCreateBuffer(device.handle(), &info, nullptr, &buffer), "vkCreateBuffer", purpose);
  buffer_ = {device.owner(), buffer, api.vkDestroyBuffer};

  VkMemoryRequirements needs{};
  api.vkGetBufferMemoryRequirements(device.handle(), buffer, &needs);
  const Allocation allocation = allocate(device, needs, use, purpose);
  memory_ = {device.owner(), allocation.memory, api.vkFreeMemory};
  check(api.vkBindBufferMemory(device.handle(), buffer, allocation.memory, 0), "vkBindBufferMemory", purpose);

  if ((allocation.properties & kMappable) != kMappable) return;
  host_cached_ = (allocation.properties & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
  void* data = nullptr;
  const VkResult mapping = api.vkMapMemory(device.handle(), allocation.memory, 0, VK_WHOLE_SIZE, 0, &data);
  // Address space can be short where memory is not; device memory serves without a mapping as well.
  if (mapping == VK_ERROR_MEMORY_MAP_FAILED && use == MemoryUse::Device) return;
  check(mapping, "vkMapMemory", purpose);
  mapped_ = {static_cast<std::byte*>(data), static_cast<std::size_t>(size)};
}

BufferView::BufferView(const Device& device, const Buffer& buffer, VkFormat format, std::uint64_t offset,
                       std::uint64_t range) {
  const VkPhysicalDeviceLimits& limits = device.physical().limits;
  const std::uint64_t texel = texel_bytes(format);
  if (offset > buffer.size() || range > buffer.size() - offset || range == 0 || range % texel != 0) {
    throw Error(
        fmt::format("texel view: bytes {} to {}+{} of a buffer of {} bytes are not whole texels of {} inside it",
                    offset, offset, range, buffer.size(), texel));
  }
  // Some driver may say 0 where it means that any offset will do.
  if (offset % std::max<std::uint64_t>(limits.minTexelBufferOffsetAlignment, 1) != 0) {
    throw Error(fmt::format("texel view: offset {} is not a multiple of minTexelBufferOffsetAlignment, {}", offset,
                            static_cast<std::uint64_t>(limits.minTexelBufferOffsetAlignment)));
  }
  if (range / texel > limits.maxTexelBufferElements) {
    throw Error(
        fmt::format("texel view: {} texels, device '{}' allows {} (maxTexelBufferElements); use a storage buffer",
                    range / texel, device.physical().name, limits.maxTexelBufferElements));
  }
  const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                       .pNext = nullptr,
                                       .flags = 0,
                                       .buffer = buffer.handle(),
                                       .format = format,
                                       .offset = offset,
                                       .range = range};
  VkBufferView view = VK_NULL_HANDLE;
  check(device.api().vkCreateBufferView(device.handle(), &info, nullptr, &view), "vkCreateBufferView");
  view_ = {device.owner(), view, device.api().vkDestroyBufferView};
}

}  // namespace heed::vk
