#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "graph/dtype.h"

namespace heed {

/// A block of a quantised type, unpacked: element i is scales[i / group] * number(quants[i]) - minima[i / group], where
/// QuantisedType says what a group is and which number a quant stands for.
struct QuantBlock {
  static constexpr std::size_t kMostElements = 256;
  static constexpr std::size_t kMostGroups = 16;
  std::array<std::uint8_t, kMostElements> quants;
  std::array<float, kMostGroups> scales;
  std::array<float, kMostGroups> minima;
};

/// Everything that a quantised type is, in one row of a table: a type is added there, in the enum DType, and for
/// shaders in shaders/include/weights.glsl.
///
/// A file holds blocks as ggml does. A device holds rows of a matrix in 16-byte words (plan/weight_layout.h): of every
/// quant the `low_bits` lowest bits, then the `high_bits` others; of every block the bytes that say its scales, then
/// those of the factors of the whole block where they are not among them.
struct QuantisedType {
  /// Bytes [from, from + bytes) of a block in a file, which are followed by zeros up to `on_device` bytes of it on a
  /// device. A device's words hold whole blocks, or a block whole words.
  struct Field {
    std::uint32_t from = 0;
    std::uint32_t bytes = 0;
    std::uint32_t on_device = 0;
  };

  DType dtype;
  std::string_view name;    // as written in files and on the command line
  std::uint32_t ggml_type;  // ggml's number of the type
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  std::uint32_t group;         // elements that share a scale
  bool minima;                 // whether something is subtracted; QuantBlock::minima are 0 where not
  std::uint32_t unit_columns;  // that a lane of a kernel takes at a time
  std::uint32_t low_bits;      // 8, 4 or 2
  std::uint32_t high_bits;     // 0, 1 or 2
  Field low, high;             // where the file has these bits in the device's order; none: they come unpacked
  Field scales, factors;
  std::int32_t zero;                      // a quant stands for quant - zero ...
  std::span<const std::int8_t> codebook;  // ... or, where there is one, for codebook[quant]
  void (*unpack)(const std::byte* block, QuantBlock& to);
  /// Makes a block of so many finite floats. Throws Error where the scale they need is no f16.
  void (*quantise)(const float* from, std::byte* block);
};

std::span<const QuantisedType> quantised_types();

/// The description of a quantised type, or nullptr for others.
const QuantisedType* quantised_type(DType type);

}  // namespace heed
