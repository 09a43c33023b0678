#pragma once

#include <cstdint>
#include <vector>

#include "vulkan/device.h"
#include "vulkan/handle.h"

namespace heed::vk {

/// Times on the device's clock, noted by CommandBuffer::timestamp. Only for devices with timestamp_valid_bits > 0. The
/// Device must outlive it. Threads: one at a time.
class TimestampQueries {
 public:
  /// Throws Error when `count` is 0 or the queue has no timestamps.
  TimestampQueries(const Device& device, std::uint32_t count);

  VkQueryPool handle() const { return pool_.get(); }
  std::uint32_t count() const { return count_; }

  /// Nanoseconds of all timestamps since the first, which is 0. All must have been written by a submission whose fence
  /// has signalled; throws Error when one was not. Right across one wrap of the device's counter.
  std::vector<double> nanoseconds() const;

 private:
  const VolkDeviceTable* api_;
  VkDevice device_;
  Handle<VkQueryPool> pool_;
  std::uint32_t count_ = 0;
  std::uint32_t valid_bits_ = 0;
  double period_ = 0;  // nanoseconds of one tick
};

}  // namespace heed::vk
