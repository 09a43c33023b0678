#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/dtype.h"

namespace heed {

float f16_to_f32(std::uint16_t bits);   // exact, NaN payloads included
std::uint16_t f32_to_f16(float value);  // round to nearest even; overflow to infinity, subnormals kept, NaN made quiet
float bf16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_bf16(float value);  // round to nearest even; NaN made quiet

/// f32 elements, a word each, as f16, two to a word, the first in the lower half; and back. An odd last one shares its
/// word with nothing.
std::vector<std::uint32_t> pack_f16(std::span<const std::uint32_t> f32_words);
std::vector<std::uint32_t> unpack_f16(std::span<const std::uint32_t> f16_words, std::size_t count);

/// Decodes `count` elements of a floating type to f32. `count` is a multiple of the block; `from` holds exactly its
/// bytes and need not be aligned. Throws Error for a type that is not floating or sizes that do not fit.
void decode_to_f32(DType type, std::span<const std::byte> from, std::size_t count, float* to);

/// Encodes f32 as `type`; graph/quantise.h says how quantised types choose their scales. f16 overflows to infinity.
/// Throws Error where decode_to_f32 does, and when a block to be quantised holds a NaN, an infinity or a number whose
/// scale is too large for f16, since its other elements would be lost.
void encode_from_f32(DType type, std::span<const float> from, std::span<std::byte> to);

}  // namespace heed
