#pragma once

#include <string_view>

namespace heed {

/// How a model keeps the keys and values of the tokens that it has read, for attention to look back at: the larger part
/// of its memory, and of what a token reads, in a long context. Chosen when a model is opened; files do not say.
enum class CacheType {
  Auto,  // F32 on CPU drivers, F16 on other devices
  F32,   // as computed
  F16    // half of the memory; each number is rounded to 11 bits as it enters, and must lie within +-65504
};
std::string_view cache_type_name(CacheType type);  // "auto", "f32", "f16"

}  // namespace heed
