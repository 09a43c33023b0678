#include "graph/convert_dtype.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "graph/quantised.h"
#include "heed/error.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian and read in place");

constexpr std::uint32_t kMagnitude = 0x7fffffff;
constexpr std::uint32_t kInfinity = 0x7f800000;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

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

void decode_blocks(const QuantisedType& type, const std::byte* from, std::size_t blocks, float* to) {
  QuantBlock block;
  for (std::size_t b = 0; b < blocks; ++b, from += type.block_bytes) {
    type.unpack(from, block);
    for (std::size_t first = 0; first < type.block_elements; first += type.group, to += type.group) {
      const float scale = block.scales[first / type.group];
      const float minimum = block.minima[first / type.group];
      const std::uint8_t* quants = block.quants.data() + first;
      if (type.codebook.empty()) {
        for (std::size_t i = 0; i < type.group; ++i) {
          to[i] = scale * static_cast<float>(static_cast<std::int32_t>(quants[i]) - type.zero) - minimum;
        }
      } else {
        for (std::size_t i = 0; i < type.group; ++i)
          to[i] = scale * static_cast<float>(type.codebook[quants[i]]) - minimum;
      }
    }
  }
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

std::vector<std::uint32_t> pack_f16(std::span<const std::uint32_t> f32_words) {
  std::vector<std::uint32_t> words((f32_words.size() + 1) / 2, 0u);
  for (std::size_t i = 0; i < f32_words.size(); ++i) {
    words[i / 2] |= std::uint32_t{f32_to_f16(std::bit_cast<float>(f32_words[i]))} << (i % 2 * 16);
  }
  return words;
}

std::vector<std::uint32_t> unpack_f16(std::span<const std::uint32_t> f16_words, std::size_t count) {
  std::vector<std::uint32_t> words(count);
  for (std::size_t i = 0; i < count; ++i) {
    words[i] = std::bit_cast<std::uint32_t>(f16_to_f32(static_cast<std::uint16_t>(f16_words[i / 2] >> (i % 2 * 16))));
  }
  return words;
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
  if (const QuantisedType* quantised = quantised_type(type)) {
    decode_blocks(*quantised, bytes, count / quantised->block_elements, to);
    return;
  }
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
    case DType::F64:
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(load<double>(bytes + i * sizeof(double)));
      return;
    default:
      break;  // refused by check_sizes
  }
}

void encode_from_f32(DType type, std::span<const float> from, std::span<std::byte> to) {
  check_sizes(type, from.size(), to.size());
  if (from.empty()) return;
  if (const QuantisedType* quantised = quantised_type(type)) {
    for (std::size_t b = 0; b < from.size() / quantised->block_elements; ++b) {
      quantised->quantise(from.data() + b * quantised->block_elements, to.data() + b * quantised->block_bytes);
    }
    return;
  }
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
    default:
      break;  // refused by check_sizes
  }
}

}  // namespace heed
