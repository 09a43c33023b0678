#include "graph/dtype.h"

#include <array>
#include <cassert>
#include <cmath>

namespace heed {
namespace {
constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{
    {"f32", 1, 4, true},
    {"f16", 1, 2, true},
    {"bf16", 1, 2, true},
    {"q8_0", 32, 34, true},
    {"q4_0", 32, 18, true},
    {"i32", 1, 4, false},
    {"i64", 1, 8, false},
    {"u8", 1, 1, false},
    {"bool", 1, 1, false},
    {"f64", 1, 8, true},
    {"i8", 1, 1, false},
    {"i16", 1, 2, false},
    {"u16", 1, 2, false},
    {"u32", 1, 4, false},
    {"u64", 1, 8, false},
}};
}  // namespace

const DTypeInfo& dtype_info(DType type) {
  const auto index = static_cast<std::size_t>(type);
  assert(index < kInfo.size());
  return kInfo[index];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kInfo.size(); ++i) {
    if (kInfo[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

double wrap_integer(DType type, double value) {
  const auto wrap = [&](double range, double least) {
    const double rest = std::fmod(value - least, range);
    return (rest < 0.0 ? rest + range : rest) + least;
  };
  switch (type) {
    case DType::Bool:
      return value != 0.0 ? 1.0 : 0.0;
    case DType::I8:
      return wrap(256.0, -128.0);
    case DType::U8:
      return wrap(256.0, 0.0);
    case DType::I16:
      return wrap(65536.0, -32768.0);
    case DType::U16:
      return wrap(65536.0, 0.0);
    case DType::I32:
      return wrap(4294967296.0, -2147483648.0);
    default:
      return value;
  }
}

}  // namespace heed
