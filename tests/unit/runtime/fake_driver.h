#pragma once

#include <volk.h>

#include <vector>

#include "runtime/gpu.h"

namespace heed::testing {

/// What a driver can do to work that it is given, put in place of the functions of an opened device for as long as this
/// lives. One at a time.
class FakeDriver {
 public:
  explicit FakeDriver(const Gpu& gpu) : table_(const_cast<VolkDeviceTable&>(gpu.device().api())), real_(table_) {
    current() = this;
  }
  ~FakeDriver() {
    table_ = real_;
    current() = nullptr;
  }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  /// Submissions from the `first` on succeed without being run.
  void drop_submissions(int first = 0) {
    first_dropped_ = first;
    table_.vkQueueSubmit = [](VkQueue queue, std::uint32_t, const VkSubmitInfo* info, VkFence fence) {
      FakeDriver& self = *current();
      if (self.submissions_++ < self.first_dropped_) return self.real_.vkQueueSubmit(queue, 1, info, fence);
      return self.real_.vkQueueSubmit(queue, 0, nullptr, fence);
    };
  }
  /// The device is lost when the host waits the `nth` time from now on; what was submitted has then finished.
  void lose_device(int nth = 0) {
    lost_at_ = nth;
    table_.vkWaitForFences = [](VkDevice device, std::uint32_t count, const VkFence* fences, VkBool32 all,
                                std::uint64_t timeout) {
      FakeDriver& self = *current();
      const VkResult result = self.real_.vkWaitForFences(device, count, fences, all, timeout);
      return self.waits_++ == self.lost_at_ ? VK_ERROR_DEVICE_LOST : result;
    };
  }
  /// Nothing that is waited for ever ends.
  void hang() {
    table_.vkWaitForFences = [](VkDevice, std::uint32_t, const VkFence*, VkBool32, std::uint64_t) {
      return VK_TIMEOUT;
    };
  }

 private:
  static FakeDriver*& current() {
    static FakeDriver* driver = nullptr;
    return driver;
  }
  VolkDeviceTable& table_;
  VolkDeviceTable real_;
  int first_dropped_ = 0;
  int submissions_ = 0;
  int lost_at_ = 0;
  int waits_ = 0;
};

}  // namespace heed::testing
