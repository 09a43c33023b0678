#include "vulkan/check.h"

#include <doctest/doctest.h>

#include "heed/error.h"

namespace heed::vk {
namespace {

TEST_CASE("check lets success pass and names everything else") {
  CHECK_NOTHROW(check(VK_SUCCESS, "vkFoo"));
  CHECK_THROWS_WITH_AS(check(VK_ERROR_INITIALIZATION_FAILED, "vkFoo"), "vkFoo: VK_ERROR_INITIALIZATION_FAILED (-3)",
                       Error);
  CHECK_THROWS_WITH_AS(check(VK_INCOMPLETE, "vkFoo", "list"), "vkFoo (list): VK_INCOMPLETE (5)", Error);
  CHECK_THROWS_WITH_AS(check(static_cast<VkResult>(-77), "vkFoo"), "vkFoo: an unknown VkResult (-77)", Error);
}

TEST_CASE("a lost device and exhausted memory say what to do") {
  CHECK_THROWS_WITH_AS(check(VK_ERROR_DEVICE_LOST, "vkFoo"), doctest::Contains("smaller batch"), Error);
  CHECK_THROWS_WITH_AS(check(VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkFoo"), doctest::Contains("smaller model"), Error);
}

}  // namespace
}  // namespace heed::vk
