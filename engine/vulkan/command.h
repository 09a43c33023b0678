#pragma once

#include <cstdint>
#include <span>

#include "vulkan/buffer.h"
#include "vulkan/pipeline.h"
#include "vulkan/queries.h"

namespace heed::vk {

/// How often a command buffer is submitted after it is recorded.
enum class Recording : std::uint8_t {
  OneTime,       // once
  Reusable,      // again and again, but only after the fence of the last time has signalled
  Simultaneous,  // again while earlier submissions of it are still running
};

/// Who touches memory, for barriers; combine with |.
enum class Stage : std::uint8_t { Compute = 1, Transfer = 2, Host = 4 };
constexpr Stage operator|(Stage a, Stage b) {
  return static_cast<Stage>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}

class CommandBuffer;

/// Memory for command buffers. Must outlive its command buffers, the Device must outlive it. Threads: a pool and all
/// its command buffers are used by one thread at a time, for recording, making and destroying alike.
class CommandPool {
 public:
  explicit CommandPool(const Device& device);

  CommandBuffer allocate();

 private:
  friend class CommandBuffer;
  const VolkDeviceTable* api_;
  Owner owner_;
  Handle<VkCommandPool> pool_;
};

/// A primary command buffer. Recorded between begin and end, then given to Device::submit by its handle. Must not be
/// destroyed or recorded anew while a submission of it is pending. What it refers to (buffers, pipelines, sets,
/// queries) must live until its last submission has finished.
class CommandBuffer {
 public:
  ~CommandBuffer();
  CommandBuffer(CommandBuffer&& other) noexcept;
  CommandBuffer& operator=(CommandBuffer&& other) noexcept;

  VkCommandBuffer handle() const { return handle_; }

  /// Forgets what was recorded before.
  void begin(Recording recording);
  void end();

  /// What the next dispatches run. `set` may be null for a pipeline without bindings; `push_constants` has exactly the
  /// pipeline's push_constant_bytes.
  void bind(const ComputePipeline& pipeline, VkDescriptorSet set, std::span<const std::uint32_t> push_constants);

  /// In workgroups; at most maxComputeWorkGroupCount each, which is the caller's to see to.
  void dispatch(std::uint32_t x, std::uint32_t y, std::uint32_t z);

  /// Everything recorded later in stages `to` waits for everything recorded earlier in stages `from` and sees its
  /// writes. Work whose results the host reads after a fence ends with a barrier to Stage::Host; what the host wrote
  /// before Device::submit needs none.
  void barrier(Stage from, Stage to);

  /// Copies `bytes`, a range inside both buffers; within one buffer the two ranges do not overlap. Counts as Transfer.
  void copy(const Buffer& source, std::uint64_t source_offset, const Buffer& target, std::uint64_t target_offset,
            std::uint64_t bytes);

  /// Fills a range with a 32-bit word; offset and bytes are multiples of 4. Counts as Transfer.
  void fill(const Buffer& target, std::uint64_t offset, std::uint64_t bytes, std::uint32_t word);

  /// Must be recorded before the timestamps of the same submission.
  void reset(const TimestampQueries& queries);
  /// Notes the time at which everything recorded earlier has finished.
  void timestamp(const TimestampQueries& queries, std::uint32_t index);

 private:
  friend class CommandPool;
  CommandBuffer(const VolkDeviceTable* api, const Owner& owner, VkCommandPool pool, VkCommandBuffer handle);

  const VolkDeviceTable* api_;
  Owner owner_;
  VkCommandPool pool_;
  VkCommandBuffer handle_;
};

}  // namespace heed::vk
