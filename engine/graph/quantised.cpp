#include "graph/quantised.h"

#include <algorithm>
#include <cstring>

#include "graph/convert_dtype.h"
#include "graph/quantise.h"

namespace heed {
namespace {

using Field = QuantisedType::Field;

float f16_at(const std::byte* from) {
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return f16_to_f32(bits);
}

// Byte i holds quant i in its low and quant i + 16 in its high four bits.
void unpack_nibbles(const std::byte* from, std::uint8_t* quants) {
  for (std::size_t i = 0; i < 16; ++i) {
    quants[i] = std::to_integer<std::uint8_t>(from[i] & std::byte{15});
    quants[i + 16] = std::to_integer<std::uint8_t>(from[i] >> 4);
  }
}

void unpack_q8_0(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = 0.0f;
  for (std::size_t i = 0; i < 32; ++i) to.quants[i] = std::to_integer<std::uint8_t>(block[2 + i] ^ std::byte{0x80});
}

void unpack_q4_0(const std::byte* block, QuantBlock& to) {
  to.scales[0] = f16_at(block);
  to.minima[0] = 0.0f;
  unpack_nibbles(block + 2, to.quants.data());
}

constexpr QuantisedType kQuantisedTypes[] = {
    {.dtype = DType::Q8_0,
     .name = "q8_0",
     .ggml_type = 8,
     .block_elements = 32,
     .block_bytes = 34,
     .group = 32,
     .unit_columns = 16,
     .low_bits = 8,
     .high_bits = 0,
     .low = {2, 32, 32},
     .high = {},
     .scales = {0, 2, 4},
     .factors = {},
     .f32_scales = true,
     .zero = 128,
     .codebook = {},
     .unpack = unpack_q8_0,
     .quantise = quantise_q8_0},
    {.dtype = DType::Q4_0,
     .name = "q4_0",
     .ggml_type = 2,
     .block_elements = 32,
     .block_bytes = 18,
     .group = 32,
     .unit_columns = 32,
     .low_bits = 4,
     .high_bits = 0,
     .low = {2, 16, 16},
     .high = {},
     .scales = {0, 2, 4},
     .factors = {},
     .f32_scales = true,
     .zero = 8,
     .codebook = {},
     .unpack = unpack_q4_0,
     .quantise = quantise_q4_0},
};

}  // namespace

std::span<const QuantisedType> quantised_types() { return kQuantisedTypes; }

const QuantisedType* quantised_type(DType type) {
  const auto* found = std::ranges::find(kQuantisedTypes, type, &QuantisedType::dtype);
  return found == std::end(kQuantisedTypes) ? nullptr : found;
}

}  // namespace heed
