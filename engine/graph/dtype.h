#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace heed {

/// Element types of tensors in files and graphs. Quantised types store blocks of 32 elements along the last dimension,
/// byte for byte as ggml does: q8_0 is {f16 scale, int8[32]}; q4_0 is {f16 scale, nibble[32]} where byte i holds
/// element i in its low and element i + 16 in its high nibble, value = (nibble - 8) * scale.
enum class DType : std::uint8_t { F32, F16, BF16, Q8_0, Q4_0, I32, I64, U8, Bool };

inline constexpr int kDTypeCount = 9;

struct DTypeInfo {
  std::string_view name;         // as written in files and on the command line
  std::uint32_t block_elements;  // elements stored together; 1 for plain types
  std::uint32_t block_bytes;     // bytes of such a block
  bool floating;                 // holds real numbers, quantised types included
};

const DTypeInfo& dtype_info(DType type);
inline std::string_view dtype_name(DType type) { return dtype_info(type).name; }
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace heed
