#include "vulkan/queries.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {

TimestampQueries::TimestampQueries(const Device& device, std::uint32_t count)
    : api_(&device.api()),
      device_(device.handle()),
      count_(count),
      valid_bits_(device.physical().timestamp_valid_bits),
      period_(static_cast<double>(device.physical().limits.timestampPeriod)) {
  if (valid_bits_ == 0) {
    throw Error(fmt::format("timestamps: device '{}' has none (timestampValidBits is 0); measure on the host",
                            device.physical().name));
  }
  if (count == 0) throw Error("timestamps: at least one is needed");
  const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                      .pNext = nullptr,
                                      .flags = 0,
                                      .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                      .queryCount = count,
                                      .pipelineStatistics = 0};
  VkQueryPool pool = VK_NULL_HANDLE;
  check(api_->vkCreateQueryPool(device_, &info, nullptr, &pool), "vkCreateQueryPool");
  pool_ = {device.owner(), pool, api_->vkDestroyQueryPool};
}

std::vector<double> TimestampQueries::nanoseconds() const {
  std::vector<std::uint64_t> ticks(count_);
  // Not VK_QUERY_RESULT_WAIT_BIT: for a timestamp that was never recorded it waits forever.
  const VkResult result =
      api_->vkGetQueryPoolResults(device_, pool_.get(), 0, count_, ticks.size() * sizeof(std::uint64_t), ticks.data(),
                                  sizeof(std::uint64_t), VK_QUERY_RESULT_64_BIT);
  if (result == VK_NOT_READY) throw Error("timestamps: read before a submission has written all of them");
  check(result, "vkGetQueryPoolResults");
  const std::uint64_t mask = valid_bits_ >= 64 ? UINT64_MAX : (std::uint64_t{1} << valid_bits_) - 1;
  std::vector<double> times(count_);
  for (std::uint32_t i = 0; i < count_; ++i) {
    times[i] = static_cast<double>((ticks[i] - ticks[0]) & mask) * period_;
  }
  return times;
}

}  // namespace heed::vk
