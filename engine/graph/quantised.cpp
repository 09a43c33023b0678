#include "graph/quantised.h"

#include <algorithm>
#include <cstring>

#include "graph/convert_dtype.h"
#include "graph/quantise.h"

namespace heed {
namespace {

float f16_at(const std::byte* from) {
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return f16_to_f32(bits);
}

std::uint32_t byte_at(const std::byte* from) { return std::to_integer<std::uint32_t>(*from); }

// Blocks of 32, whose quants' low four bits are 16 bytes: byte i holds element i low and i + 16 high.

void unpack_nibbles(const std::byte* from, std::uint8_t* quants) {
  for (std::size_t i = 0; i < 16; ++i) {
    quants[i] = std::to_integer<std::uint8_t>(from[i] & std::byte{15});
    quants[i + 16] = std::to_integer<std::uint8_t>(from[i] >> 4);
  }
}

/// The fifth bits: bit i is that of element i.
void add_fifth_bits(const std::byte* from, std::uint8_t* quants) {
  for (std::size_t i = 0; i < 32; ++i) {
    quants[i] = static_cast<std::uint8_t>(quants[i] | (byte_at(from + i / 8) >> (i % 8) & 1u) << 4);
  }
}

/// {f16 scale, i8[32]}.
void unpack_q8_0(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = 0.0f;
  for (std::size_t i = 0; i < 32; ++i) to.quants[i] = std::to_integer<std::uint8_t>(block[2 + i] ^ std::byte{0x80});
}

/// {f16 scale, nibbles}; iq4_nl likewise.
void unpack_q4_0(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = 0.0f;
  unpack_nibbles(block + 2, to.quants.data());
}

/// {f16 scale, f16 added, nibbles}.
void unpack_q4_1(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = -f16_at(block + 2);
  unpack_nibbles(block + 4, to.quants.data());
}

/// {f16 scale, fifth bits, nibbles}.
void unpack_q5_0(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = 0.0f;
  unpack_nibbles(block + 6, to.quants.data());
  add_fifth_bits(block + 2, to.quants.data());
}

/// {f16 scale, f16 added, fifth bits, nibbles}.
void unpack_q5_1(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = -f16_at(block + 2);
  unpack_nibbles(block + 8, to.quants.data());
  add_fifth_bits(block + 4, to.quants.data());
}

// Blocks of 256: groups of 16 or 32 elements have scales, and some minima, of a few bits, times f16 factors of the
// block.

/// Scales and minima of six bits of eight groups of 32, in 12 bytes: of groups 0 to 3 the low six bits of bytes 0 to 3
/// and 4 to 7; of groups 4 to 7 the halves of bytes 8 to 11, with the two bits that the others leave on top.
void unpack_six_bits(const std::byte* block, QuantBlock& to) {
  const float scale = f16_at(block);
  const float minimum = f16_at(block + 2);
  const std::byte* codes = block + 4;
  for (std::size_t g = 0; g < 8; ++g) {
    const std::uint32_t a = byte_at(codes + g % 4);
    const std::uint32_t b = byte_at(codes + 4 + g % 4);
    const std::uint32_t c = byte_at(codes + 8 + g % 4);
    to.scales[g] = scale * static_cast<float>(g < 4 ? a & 63u : (c & 15u) | a >> 6 << 4);
    to.minima[g] = minimum * static_cast<float>(g < 4 ? b & 63u : c >> 4 | b >> 6 << 4);
  }
}

/// Low four bits of elements 64 c + i (low) and 64 c + 32 + i (high) in byte 32 c + i.
void unpack_halves(const std::byte* from, std::uint8_t* quants) {
  for (std::size_t i = 0; i < 128; ++i) {
    std::uint8_t* const to = quants + i / 32 * 64 + i % 32;
    to[0] = std::to_integer<std::uint8_t>(from[i] & std::byte{15});
    to[32] = std::to_integer<std::uint8_t>(from[i] >> 4);
  }
}

/// {f16 scale, f16 minimum, six-bit codes, low four bits}.
void unpack_q4_k(const std::byte* block, QuantBlock& to) {
  unpack_six_bits(block, to);
  unpack_halves(block + 16, to.quants.data());
}

/// The same with fifth bits before the low ones: bit g of byte i is that of element 32 g + i.
void unpack_q5_k(const std::byte* block, QuantBlock& to) {
  unpack_six_bits(block, to);
  unpack_halves(block + 48, to.quants.data());
  for (std::size_t g = 0; g < 8; ++g) {
    std::uint8_t* const quants = to.quants.data() + 32 * g;
    for (std::size_t i = 0; i < 32; ++i) {
      quants[i] = static_cast<std::uint8_t>(quants[i] | (byte_at(block + 16 + i) >> g & 1u) << 4);
    }
  }
}

/// {low four bits, high two bits, i8 codes of 16 groups, f16 scale}. Of each half of 128 elements, byte i of 64 holds
/// the low bits of elements i and i + 64, byte i of 32 the high bits of i, i + 32, i + 64 and i + 96.
void unpack_q6_k(const std::byte* block, QuantBlock& to) {
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint8_t* const quants = to.quants.data() + 128 * half;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint32_t a = byte_at(block + 64 * half + i);
      const std::uint32_t b = byte_at(block + 64 * half + 32 + i);
      const std::uint32_t high = byte_at(block + 128 + 32 * half + i);
      quants[i] = static_cast<std::uint8_t>((a & 15u) | (high & 3u) << 4);
      quants[i + 32] = static_cast<std::uint8_t>((b & 15u) | (high >> 2 & 3u) << 4);
      quants[i + 64] = static_cast<std::uint8_t>(a >> 4 | (high >> 4 & 3u) << 4);
      quants[i + 96] = static_cast<std::uint8_t>(b >> 4 | high >> 6 << 4);
    }
  }
  const float scale = f16_at(block + 208);
  for (std::size_t g = 0; g < 16; ++g) {
    to.scales[g] = scale * static_cast<float>(static_cast<std::int8_t>(byte_at(block + 192 + g)));
    to.minima[g] = 0.0f;
  }
}

/// Two bits of each element: of each half of 128, byte i of 32 holds those of i, i + 32, i + 64 and i + 96.
void unpack_two_bits(const std::byte* from, std::uint8_t* quants) {
  for (std::size_t part = 0; part < 8; ++part, quants += 32) {
    for (std::size_t i = 0; i < 32; ++i) {
      quants[i] = static_cast<std::uint8_t>(byte_at(from + part / 4 * 32 + i) >> (part % 4 * 2) & 3u);
    }
  }
}

/// {codes of 16 groups: scale low, minimum high, two bits, f16 scale, f16 minimum}.
void unpack_q2_k(const std::byte* block, QuantBlock& to) {
  const float scale = f16_at(block + 80);
  const float minimum = f16_at(block + 82);
  for (std::size_t g = 0; g < 16; ++g) {
    to.scales[g] = scale * static_cast<float>(byte_at(block + g) & 15u);
    to.minima[g] = minimum * static_cast<float>(byte_at(block + g) >> 4);
  }
  unpack_two_bits(block + 16, to.quants.data());
}

/// {third bits, two bits, six-bit codes of 16 groups, f16 scale}: third bits as q5_k's fifth. Of code g the low four
/// bits are in the low (g < 8) or high half of byte g % 8, the others in byte 8 + g % 4 from bit 2 (g / 4) on; 32 is
/// zero.
void unpack_q3_k(const std::byte* block, QuantBlock& to) {
  const float scale = f16_at(block + 108);
  const std::byte* codes = block + 96;
  for (std::size_t g = 0; g < 16; ++g) {
    const std::uint32_t low = byte_at(codes + g % 8) >> (g < 8 ? 0 : 4) & 15u;
    const std::uint32_t high = byte_at(codes + 8 + g % 4) >> (g / 4 * 2) & 3u;
    to.scales[g] = scale * static_cast<float>(static_cast<std::int32_t>(low | high << 4) - 32);
    to.minima[g] = 0.0f;
  }
  unpack_two_bits(block + 32, to.quants.data());
  for (std::size_t part = 0; part < 8; ++part) {
    std::uint8_t* const quants = to.quants.data() + 32 * part;
    for (std::size_t i = 0; i < 32; ++i) {
      quants[i] = static_cast<std::uint8_t>(quants[i] | (byte_at(block + i) >> part & 1u) << 2);
    }
  }
}

// The columns are the fields of QuantisedType in their order:
// type, name, ggml's number; elements and bytes of a block; elements of a group, minima, elements of a unit; low and
// high bits; where the file has low and high bits in the device's order, its scales and factors; zero, codebook
// clang-format off
constexpr QuantisedType kQuantisedTypes[] = {
    {DType::Q8_0, "q8_0", 8, 32, 34, 32, false, 16, 8, 0,
     {2, 32, 32}, {}, {0, 2, 2}, {}, 128, {}, unpack_q8_0, quantise_q8_0},
    {DType::Q4_0, "q4_0", 2, 32, 18, 32, false, 32, 4, 0,
     {2, 16, 16}, {}, {0, 2, 2}, {}, 8, {}, unpack_q4_0, quantise_q4_0},
    {DType::Q4_1, "q4_1", 3, 32, 20, 32, true, 32, 4, 0,
     {4, 16, 16}, {}, {0, 4, 4}, {}, 0, {}, unpack_q4_1, quantise_q4_1},
    {DType::Q5_0, "q5_0", 6, 32, 22, 32, false, 32, 4, 1,
     {6, 16, 16}, {2, 4, 4}, {0, 2, 2}, {}, 16, {}, unpack_q5_0, quantise_q5_0},
    {DType::Q5_1, "q5_1", 7, 32, 24, 32, true, 32, 4, 1,
     {8, 16, 16}, {4, 4, 4}, {0, 4, 4}, {}, 0, {}, unpack_q5_1, quantise_q5_1},
    {DType::IQ4_NL, "iq4_nl", 20, 32, 18, 32, false, 32, 4, 0,
     {2, 16, 16}, {}, {0, 2, 2}, {}, 0, kIq4NlCodebook, unpack_q4_0, quantise_iq4_nl},
    {DType::Q2_K, "q2_k", 10, 256, 84, 16, true, 32, 2, 0,
     {}, {}, {0, 16, 16}, {80, 4, 4}, 0, {}, unpack_q2_k, quantise_q2_k},
    {DType::Q3_K, "q3_k", 11, 256, 110, 16, false, 32, 2, 1,
     {}, {}, {96, 14, 16}, {}, 4, {}, unpack_q3_k, quantise_q3_k},
    {DType::Q4_K, "q4_k", 12, 256, 144, 32, true, 32, 4, 0,
     {}, {}, {0, 16, 16}, {}, 0, {}, unpack_q4_k, quantise_q4_k},
    {DType::Q5_K, "q5_k", 13, 256, 176, 32, true, 32, 4, 1,
     {}, {}, {0, 16, 16}, {}, 0, {}, unpack_q5_k, quantise_q5_k},
    {DType::Q6_K, "q6_k", 14, 256, 210, 16, false, 32, 4, 2,
     {}, {}, {192, 16, 16}, {208, 2, 4}, 32, {}, unpack_q6_k, quantise_q6_k},
};
// clang-format on

}  // namespace

std::span<const QuantisedType> quantised_types() { return kQuantisedTypes; }

const QuantisedType* quantised_type(DType type) {
  const auto* found = std::ranges::find(kQuantisedTypes, type, &QuantisedType::dtype);
  return found == std::end(kQuantisedTypes) ? nullptr : found;
}

}  // namespace heed
