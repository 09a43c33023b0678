#pragma once

#include <volk.h>

#include <utility>

namespace heed::vk {

/// Owns one child object of a VkDevice and destroys it; the device must live longer. Empty when default-made or moved
/// from.
template <typename T>
class Handle {
 public:
  using Destroy = void(VKAPI_PTR*)(VkDevice, T, const VkAllocationCallbacks*);

  Handle() = default;
  Handle(VkDevice device, T handle, Destroy destroy) : device_(device), handle_(handle), destroy_(destroy) {}
  Handle(Handle&& other) noexcept
      : device_(other.device_), handle_(std::exchange(other.handle_, T{})), destroy_(other.destroy_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Handle() {
    if (handle_ != T{}) destroy_(device_, handle_, nullptr);
  }

  T get() const { return handle_; }

 private:
  VkDevice device_ = VK_NULL_HANDLE;
  T handle_{};
  Destroy destroy_ = nullptr;
};

}  // namespace heed::vk
