#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace heed {

/// Element types of tensors in files and graphs. Quantised types store blocks of 32 elements along the last dimension,
/// byte for byte as ggml does: q8_0 is {f16 scale, int8[32]}; q4_0 is {f16 scale, nibble[32]} where byte i holds
/// element i in its low and element i + 16 in its high nibble, value = (nibble - 8) * scale.
///
/// On a device every element is a 32-bit word: real numbers are f32, integers and booleans (0 or 1) are i32. The
/// narrower integers wrap around as their type does; the wider ones and f64 have the range of that word and are refused
/// where an input leaves it.
enum class DType : std::uint8_t { F32, F16, BF16, Q8_0, Q4_0, I32, I64, U8, Bool, F64, I8, I16, U16, U32, U64 };

inline constexpr int kDTypeCount = 15;

struct DTypeInfo {
  std::string_view name;         // as written in files and on the command line
  std::uint32_t block_elements;  // elements stored together; 1 for plain types
  std::uint32_t block_bytes;     // bytes of such a block
  bool floating;                 // holds real numbers, quantised types included
};

const DTypeInfo& dtype_info(DType type);
inline std::string_view dtype_name(DType type) { return dtype_info(type).name; }
std::optional<DType> dtype_from_name(std::string_view name);
inline bool is_floating(DType type) { return dtype_info(type).floating; }
/// An integer in the range of a type of 8 or 16 bits, wrapped around as in C; 0 or 1 for booleans. Others are as they
/// are.
double wrap_integer(DType type, double value);

}  // namespace heed
