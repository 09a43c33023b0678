#include "graph/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "graph/convert_dtype.h"
#include "graph/dtype.h"
#include "heed/error.h"

namespace heed {
namespace {

// The number rounded to nearest, halves away from zero, as C's roundf; for |x| < 2^31.
inline std::int32_t round_away(float x) {
  const auto whole = static_cast<std::int32_t>(x);
  const float rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

// The element of a block with the largest magnitude, the first of equals, with its sign.
float extreme_of(std::span<const float> block, DType type) {
  float extreme = 0.0f;
  bool finite = true;
  for (std::size_t i = 0; i < block.size(); ++i) {
    finite = finite && std::isfinite(block[i]);
    if (std::fabs(block[i]) > std::fabs(extreme)) extreme = block[i];
  }
  if (!finite)
    throw Error(fmt::format("cannot quantise to {}: an element is infinite or not a number", dtype_name(type)));
  return extreme;
}

std::uint16_t scale_bits(float scale, float extreme, DType type) {
  const std::uint16_t bits = f32_to_f16(scale);
  if ((bits & 0x7fffu) == 0x7c00u) {
    throw Error(
        fmt::format("cannot quantise to {}: element {} needs the scale {}, above the largest f16 65504; use f32",
                    dtype_name(type), extreme, scale));
  }
  return bits;
}

// 1 / scale, or 0 for scales so small that it would be infinite: their f16 is 0 as well, so all values of the block
// are.
float inverse_of(float scale) {
  const float inverse = 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

void store_u16(std::uint16_t value, std::byte* to) { std::memcpy(to, &value, sizeof value); }

}  // namespace

void quantise_q8_0(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::Q8_0);
  const float scale = std::fabs(extreme) / 127.0f;
  const float inverse = inverse_of(scale);
  store_u16(scale_bits(scale, extreme, DType::Q8_0), block);
  for (std::size_t i = 0; i < 32; ++i) {
    block[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(round_away(from[i] * inverse)));
  }
}

void quantise_q4_0(const float* from, std::byte* block) {
  const float extreme = extreme_of({from, 32}, DType::Q4_0);
  const float scale = extreme / -8.0f;
  const float inverse = inverse_of(scale);
  const auto nibble = [&](float x) { return std::min(15, static_cast<int>(x * inverse + 8.5f)); };
  store_u16(scale_bits(scale, extreme, DType::Q4_0), block);
  for (std::size_t i = 0; i < 16; ++i) {
    block[2 + i] = static_cast<std::byte>(nibble(from[i]) | nibble(from[i + 16]) << 4);
  }
}

}  // namespace heed
