#pragma once

#include <volk.h>

#include <string_view>

namespace heed::vk {

/// The name of a result as the specification spells it: "VK_ERROR_DEVICE_LOST".
std::string_view result_name(VkResult result);

/// Throws Error unless `result` is VK_SUCCESS. `call` is the Vulkan function, `context` what it was for ("fence of the
/// decode step"), may be empty. A lost device (DeviceLost) and exhausted memory say what to do. Calls whose other
/// successes matter (VK_TIMEOUT, VK_INCOMPLETE) handle those before.
void check(VkResult result, std::string_view call, std::string_view context = {});

}  // namespace heed::vk
