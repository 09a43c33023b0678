#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vulkan/buffer.h"

namespace heed::vk {

/// How many descriptor sets a pool gives, and how many descriptors of each type they hold together.
struct DescriptorPoolSize {
  std::uint32_t sets = 0;
  std::uint32_t storage_buffers = 0;
  std::uint32_t texel_buffers = 0;
};

/// Descriptor sets that live and die together. The Device must outlive it. Threads: one at a time.
class DescriptorPool {
 public:
  DescriptorPool(const Device& device, const DescriptorPoolSize& size);

  /// A set that belongs to the pool. Throws Error when the pool is used up.
  VkDescriptorSet allocate(VkDescriptorSetLayout layout);

  /// Takes back all sets at once; no command buffer that uses them may be pending or be submitted again.
  void reset();

 private:
  const VolkDeviceTable* api_;
  VkDevice device_;
  Handle<VkDescriptorPool> pool_;
};

/// Collects bindings of any number of sets and writes them in one vkUpdateDescriptorSets. The sets must not be in use
/// by a pending command buffer. Threads: one at a time for each writer.
class DescriptorWriter {
 public:
  /// `range` in bytes. Throws Error when it leaves the buffer, is empty or above maxStorageBufferRange, or when
  /// `offset` is not aligned to minStorageBufferOffsetAlignment.
  void storage_buffer(VkDescriptorSet set, std::uint32_t binding, const Buffer& buffer, std::uint64_t offset,
                      std::uint64_t range);
  void texel_buffer(VkDescriptorSet set, std::uint32_t binding, const BufferView& view);

  /// Writes what was collected and forgets it.
  void write();

  explicit DescriptorWriter(const Device& device) : device_(&device) {}

 private:
  struct Write {
    VkDescriptorSet set;
    std::uint32_t binding;
    VkDescriptorType type;
    VkDescriptorBufferInfo buffer;
    VkBufferView view;
  };
  const Device* device_;
  std::vector<Write> writes_;
};

}  // namespace heed::vk
