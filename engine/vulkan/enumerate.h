#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "vulkan/check.h"

namespace heed::vk {

/// All elements that a Vulkan function with the usual (count, elements) end of its parameter list gives:
/// enumerate<T>("vkEnumerateX", [&](uint32_t* count, T* elements) { return vkEnumerateX(..., count, elements); }).
template <typename T, typename Function>
std::vector<T> enumerate(std::string_view name, Function function) {
  for (;;) {
    std::uint32_t count = 0;
    check(function(&count, static_cast<T*>(nullptr)), name);
    std::vector<T> elements(count);
    const VkResult result = function(&count, elements.data());
    if (result == VK_INCOMPLETE) continue;  // grew in between
    check(result, name);
    elements.resize(count);
    return elements;
  }
}

}  // namespace heed::vk
