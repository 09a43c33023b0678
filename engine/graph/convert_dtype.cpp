#include "graph/convert_dtype.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "heed/error.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian and read in place");

constexpr std::size_t kBlock = 32;
constexpr std::uint32_t kMagnitude = 0x7fffffff;
constexpr std::uint32_t kInfinity = 0x7f800000;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct BlockQ8 {
  std::uint16_t scale;
  std::array<std::int8_t, kBlock> values;
};
static_assert(sizeof(BlockQ8) == 34);

struct BlockQ4 {
  std::uint16_t scale;
  std::array<std::uint8_t, kBlock / 2> nibbles;  // element i low, element i + 16 high
};
static_assert(sizeof(BlockQ4) == 18);

// Without branches, so that loops over it become vector code. Both alternatives avoid f32 subnormals, which are slow
// and which a process that set "flush to zero" would lose.
inline float widen_f16(std::uint16_t bits) {
  const std::uint32_t magnitude = bits & 0x7fffu;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = magnitude & 0x7c00u;
  const std::uint32_t rebias = exponent == 0x7c00u ? (255u - 31u) << 23 : (127u - 15u) << 23;
  const std::uint32_t normal = (magnitude << 13) + rebias;
  const auto subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  return std::bit_cast<float>((exponent == 0 ? subnormal : normal) | sign);
}

// The number rounded to nearest, halves away from zero, as C's roundf; for |x| < 2^31.
inline std::int32_t round_away(float x) {
  const auto whole = static_cast<std::int32_t>(x);
  const float rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

// The element of a block with the largest magnitude, the first of equals, with its sign.
float extreme_of(const float* block, DType type) {
  float extreme = 0.0f;
  bool finite = true;
  for (std::size_t i = 0; i < kBlock; ++i) {
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

BlockQ8 quantise_q8(const float* block) {
  const float extreme = extreme_of(block, DType::Q8_0);
  const float scale = std::fabs(extreme) / 127.0f;
  const float inverse = inverse_of(scale);
  BlockQ8 result;
  result.scale = scale_bits(scale, extreme, DType::Q8_0);
  for (std::size_t i = 0; i < kBlock; ++i) result.values[i] = static_cast<std::int8_t>(round_away(block[i] * inverse));
  return result;
}

BlockQ4 quantise_q4(const float* block) {
  const float extreme = extreme_of(block, DType::Q4_0);
  const float scale = extreme / -8.0f;
  const float inverse = inverse_of(scale);
  const auto nibble = [&](float x) { return std::min(15, static_cast<int>(x * inverse + 8.5f)); };
  BlockQ4 result;
  result.scale = scale_bits(scale, extreme, DType::Q4_0);
  for (std::size_t i = 0; i < kBlock / 2; ++i) {
    result.nibbles[i] = static_cast<std::uint8_t>(nibble(block[i]) | nibble(block[i + kBlock / 2]) << 4);
  }
  return result;
}

void check_sizes(DType type, std::size_t elements, std::size_t bytes) {
  const DTypeInfo& info = dtype_info(type);
  if (!info.floating)
    throw Error(fmt::format("{} does not hold real numbers: cannot convert it to or from f32", info.name));
  if (elements % info.block_elements != 0 || bytes / info.block_bytes != elements / info.block_elements ||
      bytes % info.block_bytes != 0) {
    throw Error(fmt::format("{} elements of {} do not fit {} bytes ({} bytes hold {})", elements, info.name, bytes,
                            info.block_bytes, info.block_elements));
  }
}

}  // namespace

float f16_to_f32(std::uint16_t bits) { return widen_f16(bits); }

std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & kMagnitude;
  std::uint32_t half;
  if (magnitude > kInfinity) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 2^16
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14: normal in f16; a carry out of 65504 gives infinity
    const std::uint32_t rebased = magnitude - ((127u - 15u) << 23);
    half = (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13;
  } else if (magnitude >= 0x33000000u) {  // 2^-25, half of the smallest subnormal
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126u - (magnitude >> 23);  // 14 to 24
    half = (mantissa + (1u << (shift - 1)) - 1u + (mantissa >> shift & 1u)) >> shift;
  } else {
    half = 0;
  }
  return static_cast<std::uint16_t>(sign | half);
}

float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & kMagnitude) > kInfinity) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void decode_to_f32(DType type, std::span<const std::byte> from, std::size_t count, float* to) {
  check_sizes(type, count, from.size());
  if (count == 0) return;
  const std::byte* bytes = from.data();
  switch (type) {
    case DType::F32:
      std::memcpy(to, bytes, from.size());
      return;
    case DType::F16:
      for (std::size_t i = 0; i < count; ++i) to[i] = widen_f16(load<std::uint16_t>(bytes + 2 * i));
      return;
    case DType::BF16:
      for (std::size_t i = 0; i < count; ++i) to[i] = bf16_to_f32(load<std::uint16_t>(bytes + 2 * i));
      return;
    case DType::Q8_0:
      for (std::size_t b = 0; b < count / kBlock; ++b) {
        const auto block = load<BlockQ8>(bytes + b * sizeof(BlockQ8));  // a copy, so that `to` cannot alias it
        const float scale = widen_f16(block.scale);
        for (std::size_t i = 0; i < kBlock; ++i) to[b * kBlock + i] = scale * static_cast<float>(block.values[i]);
      }
      return;
    case DType::F64:
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(load<double>(bytes + i * sizeof(double)));
      return;
    case DType::Q4_0:
      for (std::size_t b = 0; b < count / kBlock; ++b) {
        const auto block = load<BlockQ4>(bytes + b * sizeof(BlockQ4));
        const float scale = widen_f16(block.scale);
        float* low = to + b * kBlock;
        float* high = low + kBlock / 2;
        for (std::size_t i = 0; i < kBlock / 2; ++i) low[i] = scale * static_cast<float>((block.nibbles[i] & 15) - 8);
        for (std::size_t i = 0; i < kBlock / 2; ++i) high[i] = scale * static_cast<float>((block.nibbles[i] >> 4) - 8);
      }
      return;
    default:
      break;  // refused by check_sizes
  }
}

void encode_from_f32(DType type, std::span<const float> from, std::span<std::byte> to) {
  check_sizes(type, from.size(), to.size());
  if (from.empty()) return;
  const auto store = [&](std::size_t index, const auto& value) {
    std::memcpy(to.data() + index * sizeof value, &value, sizeof value);
  };
  switch (type) {
    case DType::F32:
      std::memcpy(to.data(), from.data(), to.size());
      return;
    case DType::F16:
      for (std::size_t i = 0; i < from.size(); ++i) store(i, f32_to_f16(from[i]));
      return;
    case DType::BF16:
      for (std::size_t i = 0; i < from.size(); ++i) store(i, f32_to_bf16(from[i]));
      return;
    case DType::F64:
      for (std::size_t i = 0; i < from.size(); ++i) store(i, static_cast<double>(from[i]));
      return;
    case DType::Q8_0:
      for (std::size_t b = 0; b < from.size() / kBlock; ++b) store(b, quantise_q8(from.data() + b * kBlock));
      return;
    case DType::Q4_0:
      for (std::size_t b = 0; b < from.size() / kBlock; ++b) store(b, quantise_q4(from.data() + b * kBlock));
      return;
    default:
      break;  // refused by check_sizes
  }
}

}  // namespace heed
