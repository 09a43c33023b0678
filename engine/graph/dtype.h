#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace heed {

/// Element types of tensors in files and graphs. Quantised types store blocks of elements along the last dimension,
/// byte for byte as ggml does; graph/quantised.h describes them.
///
/// On a device every element is a 32-bit word: real numbers are f32, integers and booleans (0 or 1) are i32; but states
/// of f16 are two elements to a word, as in files (plan/plan.h, device_element_bytes). The narrower integers wrap
/// around as their type does; the wider ones and f64 have the range of that word and are refused where an input leaves
/// it.
enum class DType : std::uint8_t {
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  IQ4_NL,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  I32,
  I64,
  U8,
  Bool,
  F64,
  I8,
  I16,
  U16,
  U32,
  U64
};

inline constexpr std::size_t kDTypeCount = static_cast<std::size_t>(DType::U64) + 1;

struct DTypeInfo {
  std::string_view name;         // as written in files and on the command line
  std::uint32_t block_elements;  // elements stored together; 1 for plain types
  std::uint32_t block_bytes;     // bytes of such a block
  bool floating;                 // holds real numbers, quantised types included
};

const DTypeInfo& dtype_info(DType type);
inline std::string_view dtype_name(DType type) { return dtype_info(type).name; }
std::optional<DType> dtype_from_name(std::string_view name);
/// Those that a matrix of weights may have.
const std::vector<DType>& matrix_types();
inline bool is_floating(DType type) { return dtype_info(type).floating; }
/// An integer in the range of a type of 8 or 16 bits, wrapped around as in C; 0 or 1 for booleans. Others are as they
/// are.
double wrap_integer(DType type, double value);
/// The range of an integer type as devices have it: u32, i64 and u64 within the 32 bits of i32.
std::pair<std::int64_t, std::int64_t> integer_range(DType type);

}  // namespace heed
