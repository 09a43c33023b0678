#pragma once

#include <cstdint>
#include <string_view>

#include "vulkan/device.h"
#include "vulkan/handle.h"

namespace heed::vk {

/// Signalled by the device when a submission has finished. The Device must outlive it; not destroyed while its
/// submission is pending. Threads: any may wait; reset and submit one at a time.
class Fence {
 public:
  explicit Fence(const Device& device);

  VkFence handle() const { return fence_.get(); }

  /// True when signalled, false when `timeout_ns` went by before. Throws Error when the device was lost.
  bool wait(std::uint64_t timeout_ns) const;

  /// Like wait, but a timeout is an Error as well, naming `what` was waited for. The submission is then still pending:
  /// before destroying anything it uses, call Device::wait_idle, or leave the process where the device hangs.
  void wait_or_throw(std::uint64_t timeout_ns, std::string_view what) const;

  /// Unsignals it, for the next submission.
  void reset();

 private:
  const VolkDeviceTable* api_;
  VkDevice device_;
  Handle<VkFence> fence_;
};

}  // namespace heed::vk
