#pragma once

#include <cstdint>

#include "graph/dtype.h"

namespace heed::ops {

/// The type of elements that an op moves without looking at them: quantised ones come unpacked.
inline DType moved_type(DType type) { return dtype_info(type).block_elements > 1 ? DType::F32 : type; }

/// The number of an integer type in shaders/include/wrap.glsl, which wraps results around as the type does; 0 for types
/// as wide as the device's word.
constexpr std::uint32_t wrap_number(DType type) {
  switch (type) {
    case DType::Bool:
      return 1;
    case DType::I8:
      return 2;
    case DType::U8:
      return 3;
    case DType::I16:
      return 4;
    case DType::U16:
      return 5;
    default:
      return 0;
  }
}

}  // namespace heed::ops
