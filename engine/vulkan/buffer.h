#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vulkan/device.h"
#include "vulkan/handle.h"
#include "vulkan/memory_types.h"

namespace heed::vk {

/// A buffer with memory of its own, usable as storage buffer, behind uniform texel views, and as source and target of
/// copies. Mapped memory is coherent and stays mapped for life. The Device must outlive it.
///
/// Threads: making and destroying on any thread; the contents are the caller's to order, by fences and barriers.
class Buffer {
 public:
  /// `purpose` names it in errors ("weights", "arena block 3"). The contents are undefined. Throws Error, with the
  /// sizes and what to do, when `size` is 0, above a limit of the device, or more than its memory has left.
  Buffer(const Device& device, std::uint64_t size, MemoryUse use, std::string_view purpose);

  VkBuffer handle() const { return buffer_.get(); }
  std::uint64_t size() const { return size_; }

  /// The contents for the host; empty when the memory is not host-visible. Never empty for Upload and Readback. Memory
  /// of a Device buffer may be write-combined: write it in order, and do not read it where speed matters unless
  /// host_cached().
  std::span<std::byte> mapped() const { return mapped_; }
  bool host_cached() const { return host_cached_; }

 private:
  Handle<VkDeviceMemory> memory_;  // before buffer_: the buffer goes first
  Handle<VkBuffer> buffer_;
  std::uint64_t size_ = 0;
  std::span<std::byte> mapped_;
  bool host_cached_ = false;
};

/// A range of a buffer as a uniform texel buffer. Buffer and Device must outlive it.
class BufferView {
 public:
  /// `offset` and `range` in bytes. Throws Error when the range leaves the buffer, is empty or not whole texels, when
  /// `offset` is not aligned to minTexelBufferOffsetAlignment, or when there are more than maxTexelBufferElements.
  BufferView(const Device& device, const Buffer& buffer, VkFormat format, std::uint64_t offset, std::uint64_t range);

  VkBufferView handle() const { return view_.get(); }

 private:
  Handle<VkBufferView> view_;
};

}  // namespace heed::vk
