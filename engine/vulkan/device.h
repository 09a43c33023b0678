#pragma once

#include <volk.h>

#include <memory>
#include <span>

#include "vulkan/handle.h"
#include "vulkan/instance.h"
#include "vulkan/physical_device.h"

namespace heed::vk {

/// A logical device with one queue. Everything made from it keeps pointers to what it owns, so it must outlive them
/// (moving it is fine), and the Instance must outlive it.
///
/// Threads: a Device may be shared. submit and wait_idle lock the queue. Objects made from a Device may be made and
/// destroyed on any thread; each one's header says who may use it.
class Device {
 public:
  /// Enables the features asked for and nothing else (but for VK_KHR_portability_subset, which must be enabled where it
  /// exists). `instance`, where it is given, lives as long as the device. Throws Error for a device that is not usable,
  /// for a feature it lacks, and when the driver refuses.
  explicit Device(const PhysicalDevice& physical, const Features& features = {},
                  std::shared_ptr<const Instance> instance = nullptr);
  ~Device();
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;

  VkDevice handle() const;
  Owner owner() const;  // for handles of what is made from it
  const PhysicalDevice& physical() const;
  const Features& features() const;  // that are enabled

  /// The functions of this device, called without the loader in between. Lives as long as the device, also when the
  /// Device is moved.
  const VolkDeviceTable& api() const;

  /// Submits recorded command buffers in one batch; they run in order as far as their barriers say. `fence` is
  /// signalled when all have run; it may be null. The host's earlier writes to mapped memory are visible to them.
  void submit(std::span<const VkCommandBuffer> command_buffers, VkFence fence = VK_NULL_HANDLE) const;

  /// Says that a submission is pending which may never end. From now on nothing that was made from this device is
  /// destroyed, nor the device itself and the instance that it was given, since destroying what is in use is undefined:
  /// the end of the process gives it back. Any thread.
  void abandon() const;
  bool abandoned() const;

  /// Waits until the queue has nothing left to do. Prefer a Fence with a timeout.
  void wait_idle() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed::vk
