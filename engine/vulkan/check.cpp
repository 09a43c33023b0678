#include "vulkan/check.h"

#include <fmt/format.h>

#include <string>

#include "heed/error.h"

namespace heed::vk {
namespace {

std::string_view advice(VkResult result) {
  switch (result) {
    case VK_ERROR_DEVICE_LOST:
      return "; the GPU was reset: most often one submission ran longer than the driver allows, so use a smaller batch "
             "or prompt chunk, and look for a newer driver";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "; close other programs that use the GPU, or use a smaller model, context or batch";
    case VK_ERROR_TOO_MANY_OBJECTS:
      return "; the driver allows no more allocations (maxMemoryAllocationCount): open fewer models at once";
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "; close other programs, or use a smaller model, context or batch";
    default:
      return "";
  }
}

}  // namespace

std::string_view result_name(VkResult result) {
  switch (result) {
#define HEED_RESULT(name) \
  case name:              \
    return #name
    HEED_RESULT(VK_SUCCESS);
    HEED_RESULT(VK_NOT_READY);
    HEED_RESULT(VK_TIMEOUT);
    HEED_RESULT(VK_EVENT_SET);
    HEED_RESULT(VK_EVENT_RESET);
    HEED_RESULT(VK_INCOMPLETE);
    HEED_RESULT(VK_ERROR_OUT_OF_HOST_MEMORY);
    HEED_RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY);
    HEED_RESULT(VK_ERROR_INITIALIZATION_FAILED);
    HEED_RESULT(VK_ERROR_DEVICE_LOST);
    HEED_RESULT(VK_ERROR_MEMORY_MAP_FAILED);
    HEED_RESULT(VK_ERROR_LAYER_NOT_PRESENT);
    HEED_RESULT(VK_ERROR_EXTENSION_NOT_PRESENT);
    HEED_RESULT(VK_ERROR_FEATURE_NOT_PRESENT);
    HEED_RESULT(VK_ERROR_INCOMPATIBLE_DRIVER);
    HEED_RESULT(VK_ERROR_TOO_MANY_OBJECTS);
    HEED_RESULT(VK_ERROR_FORMAT_NOT_SUPPORTED);
    HEED_RESULT(VK_ERROR_FRAGMENTED_POOL);
    HEED_RESULT(VK_ERROR_UNKNOWN);
    HEED_RESULT(VK_ERROR_OUT_OF_POOL_MEMORY);
    HEED_RESULT(VK_ERROR_INVALID_EXTERNAL_HANDLE);
    HEED_RESULT(VK_ERROR_FRAGMENTATION);
    HEED_RESULT(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS);
    HEED_RESULT(VK_ERROR_VALIDATION_FAILED_EXT);
    HEED_RESULT(VK_ERROR_INVALID_SHADER_NV);
    HEED_RESULT(VK_ERROR_NOT_PERMITTED_KHR);
    HEED_RESULT(VK_PIPELINE_COMPILE_REQUIRED);
#undef HEED_RESULT
    default:
      return "an unknown VkResult";
  }
}

void check(VkResult result, std::string_view call, std::string_view context) {
  if (result == VK_SUCCESS) return;
  const std::string message =
      fmt::format("{}{}{}{}: {} ({}){}", call, context.empty() ? "" : " (", context, context.empty() ? "" : ")",
                  result_name(result), static_cast<int>(result), advice(result));
  if (result == VK_ERROR_DEVICE_LOST) throw DeviceLost(message);
  throw Error(message);
}

}  // namespace heed::vk
