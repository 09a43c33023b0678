#include "vulkan/fence.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {

Fence::Fence(const Device& device) : api_(&device.api()), device_(device.handle()) {
  const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, .pNext = nullptr, .flags = 0};
  VkFence fence = VK_NULL_HANDLE;
  check(api_->vkCreateFence(device_, &info, nullptr, &fence), "vkCreateFence");
  fence_ = {device.owner(), fence, api_->vkDestroyFence};
}

bool Fence::wait(std::uint64_t timeout_ns) const {
  const VkFence fence = fence_.get();
  const VkResult result = api_->vkWaitForFences(device_, 1, &fence, VK_TRUE, timeout_ns);
  if (result == VK_TIMEOUT) return false;
  check(result, "vkWaitForFences");
  return true;
}

void Fence::wait_or_throw(std::uint64_t timeout_ns, std::string_view what) const {
  if (wait(timeout_ns)) return;
  throw Error(
      fmt::format("{}: the device did not finish within {:.1f} s; it may hang, or be too slow for this: use a "
                  "smaller batch or prompt chunk, or another device",
                  what, static_cast<double>(timeout_ns) * 1e-9));
}

void Fence::reset() {
  const VkFence fence = fence_.get();
  check(api_->vkResetFences(device_, 1, &fence), "vkResetFences");
}

}  // namespace heed::vk
