#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vulkan/command.h"
#include "vulkan/descriptor.h"
#include "vulkan/pipeline.h"

namespace heed {

/// What a check_indices dispatch found (shaders/check_indices.comp).
struct RaisedFlag {
  std::size_t check = 0;  // index into Plan::index_checks
  std::uint32_t element = 0;
  std::int32_t value = 0;
};

/// Shows that the device ran what it was given. Drivers exist that report success and drop the work: after a reset,
/// after a time limit, or always. So every command buffer ends with a dispatch that adds one to a word which the host
/// compares after the fence. The words beside it are for kernels that find an index which names no place.
///
/// Device and cache must outlive it. Used by one thread at a time.
class RunProof {
 public:
  RunProof(const vk::Device& device, const vk::PipelineCache& cache);

  /// Records the last dispatch of a command buffer: it waits for all before it, and the host sees what they wrote.
  void append(vk::CommandBuffer& commands) const;

  /// Compares the count after the fence of `submissions` command buffers that append() has seen. Throws Error saying
  /// that the driver dropped `what`, or ran more than that; flags that it raised are forgotten then.
  void check(std::uint32_t submissions, std::string_view what);

  /// Submissions that have left their trace since the device was opened, also those that the host did not wait for.
  std::uint32_t count() const;

  /// The index that was found to name no place since the last call, if any.
  std::optional<RaisedFlag> take_flag();

  /// Four words, for Storage::Flag.
  const std::shared_ptr<const vk::Buffer>& buffer() const { return buffer_; }

 private:
  std::int32_t word(std::size_t i) const;
  void set_word(std::size_t i, std::int32_t value);
  void clear_flag();

  std::string device_name_;
  std::shared_ptr<const vk::Buffer> buffer_;
  std::unique_ptr<vk::ComputePipeline> pipeline_;
  vk::DescriptorPool pool_;
  VkDescriptorSet set_ = VK_NULL_HANDLE;
  std::uint32_t expected_ = 0;
};

}  // namespace heed
