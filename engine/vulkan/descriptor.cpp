#include "vulkan/descriptor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {

DescriptorPool::DescriptorPool(const Device& device, const DescriptorPoolSize& size)
    : api_(&device.api()), device_(device.handle()) {
  std::array<VkDescriptorPoolSize, 2> sizes{};
  std::uint32_t count = 0;
  // A size of zero descriptors is not allowed, an absent one is.
  if (size.storage_buffers > 0) sizes[count++] = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, size.storage_buffers};
  if (size.texel_buffers > 0) sizes[count++] = {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, size.texel_buffers};
  if (size.sets == 0 || count == 0) throw Error("descriptor pool: needs room for one set with one descriptor at least");
  const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                           .pNext = nullptr,
                                           .flags = 0,
                                           .maxSets = size.sets,
                                           .poolSizeCount = count,
                                           .pPoolSizes = sizes.data()};
  VkDescriptorPool pool = VK_NULL_HANDLE;
  check(api_->vkCreateDescriptorPool(device_, &info, nullptr, &pool), "vkCreateDescriptorPool");
  pool_ = {device.owner(), pool, api_->vkDestroyDescriptorPool};
}

VkDescriptorSet DescriptorPool::allocate(VkDescriptorSetLayout layout) {
  const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                            .pNext = nullptr,
                                            .descriptorPool = pool_.get(),
                                            .descriptorSetCount = 1,
                                            .pSetLayouts = &layout};
  VkDescriptorSet set = VK_NULL_HANDLE;
  check(api_->vkAllocateDescriptorSets(device_, &info, &set), "vkAllocateDescriptorSets");
  return set;
}

void DescriptorPool::reset() { check(api_->vkResetDescriptorPool(device_, pool_.get(), 0), "vkResetDescriptorPool"); }

void DescriptorWriter::storage_buffer(VkDescriptorSet set, std::uint32_t binding, const Buffer& buffer,
                                      std::uint64_t offset, std::uint64_t range) {
  const PhysicalDevice& physical = device_->physical();
  if (offset > buffer.size() || range > buffer.size() - offset || range == 0) {
    throw Error(fmt::format("storage buffer binding {}: bytes {} to {}+{} are not inside a buffer of {} bytes", binding,
                            offset, offset, range, buffer.size()));
  }
  // Some driver may say 0 where it means that any offset will do.
  if (offset % std::max<std::uint64_t>(physical.limits.minStorageBufferOffsetAlignment, 1) != 0) {
    throw Error(
        fmt::format("storage buffer binding {}: offset {} is not a multiple of "
                    "minStorageBufferOffsetAlignment, {}",
                    binding, offset, static_cast<std::uint64_t>(physical.limits.minStorageBufferOffsetAlignment)));
  }
  if (range > physical.limits.maxStorageBufferRange) {
    throw Error(
        fmt::format("storage buffer binding {}: {} bytes, device '{}' allows {} (maxStorageBufferRange); split "
                    "the tensor",
                    binding, range, physical.name, physical.limits.maxStorageBufferRange));
  }
  writes_.push_back({.set = set,
                     .binding = binding,
                     .type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                     .buffer = {.buffer = buffer.handle(), .offset = offset, .range = range},
                     .view = VK_NULL_HANDLE});
}

void DescriptorWriter::texel_buffer(VkDescriptorSet set, std::uint32_t binding, const BufferView& view) {
  writes_.push_back({.set = set,
                     .binding = binding,
                     .type = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                     .buffer = {},
                     .view = view.handle()});
}

void DescriptorWriter::write() {
  // Only now do the elements of writes_ stay where they are.
  std::vector<VkWriteDescriptorSet> infos(writes_.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    infos[i] = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                .pNext = nullptr,
                .dstSet = writes_[i].set,
                .dstBinding = writes_[i].binding,
                .dstArrayElement = 0,
                .descriptorCount = 1,
                .descriptorType = writes_[i].type,
                .pImageInfo = nullptr,
                .pBufferInfo = &writes_[i].buffer,
                .pTexelBufferView = &writes_[i].view};
  }
  device_->api().vkUpdateDescriptorSets(device_->handle(), static_cast<std::uint32_t>(infos.size()), infos.data(), 0,
                                        nullptr);
  writes_.clear();
}

}  // namespace heed::vk
