#pragma once

#include <volk.h>

#include <atomic>
#include <utility>

namespace heed::vk {

/// The device that a Handle belongs to.
struct Owner {
  VkDevice device = VK_NULL_HANDLE;
  const std::atomic<bool>* abandoned = nullptr;  // Device::abandon()
};

/// Owns one child object of a VkDevice and destroys it, unless the device was abandoned; the device must live longer.
/// Empty when default-made or moved from.
template <typename T>
class Handle {
 public:
  using Destroy = void(VKAPI_PTR*)(VkDevice, T, const VkAllocationCallbacks*);

  Handle() = default;
  Handle(const Owner& owner, T handle, Destroy destroy) : owner_(owner), handle_(handle), destroy_(destroy) {}
  Handle(Handle&& other) noexcept
      : owner_(other.owner_), handle_(std::exchange(other.handle_, T{})), destroy_(other.destroy_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(handle_, other.handle_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Handle() {
    if (handle_ != T{} && !*owner_.abandoned) destroy_(owner_.device, handle_, nullptr);
  }

  T get() const { return handle_; }

 private:
  Owner owner_;
  T handle_{};
  Destroy destroy_ = nullptr;
};

}  // namespace heed::vk
