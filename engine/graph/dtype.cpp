#include "graph/dtype.h"

#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "graph/quantised.h"

namespace heed {
namespace {

std::array<DTypeInfo, kDTypeCount> make_table() {
  std::array<DTypeInfo, kDTypeCount> table{};
  const auto add = [&](DType type, const DTypeInfo& info) { table[static_cast<std::size_t>(type)] = info; };
  add(DType::F32, {"f32", 1, 4, true});
  add(DType::F16, {"f16", 1, 2, true});
  add(DType::BF16, {"bf16", 1, 2, true});
  for (const QuantisedType& type : quantised_types()) {
    add(type.dtype, {type.name, type.block_elements, type.block_bytes, true});
  }
  add(DType::I32, {"i32", 1, 4, false});
  add(DType::I64, {"i64", 1, 8, false});
  add(DType::U8, {"u8", 1, 1, false});
  add(DType::Bool, {"bool", 1, 1, false});
  add(DType::F64, {"f64", 1, 8, true});
  add(DType::I8, {"i8", 1, 1, false});
  add(DType::I16, {"i16", 1, 2, false});
  add(DType::U16, {"u16", 1, 2, false});
  add(DType::U32, {"u32", 1, 4, false});
  add(DType::U64, {"u64", 1, 8, false});
  return table;
}

const std::array<DTypeInfo, kDTypeCount>& table() {
  static const std::array<DTypeInfo, kDTypeCount> made = make_table();
  return made;
}

}  // namespace

const DTypeInfo& dtype_info(DType type) {
  const auto index = static_cast<std::size_t>(type);
  assert(index < kDTypeCount);
  return table()[index];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    if (table()[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

const std::vector<DType>& matrix_types() {
  static const std::vector<DType> types = [] {
    std::vector<DType> made = {DType::F32, DType::F16, DType::BF16};
    for (const QuantisedType& type : quantised_types()) made.push_back(type.dtype);
    return made;
  }();
  return types;
}

std::pair<std::int64_t, std::int64_t> integer_range(DType type) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  switch (type) {
    case DType::Bool:
      return {0, 1};
    case DType::I8:
      return {-128, 127};
    case DType::U8:
      return {0, 255};
    case DType::I16:
      return {-32768, 32767};
    case DType::U16:
      return {0, 65535};
    case DType::U32:
    case DType::U64:
      return {0, kMost};
    default:
      return {-kMost - 1, kMost};
  }
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
