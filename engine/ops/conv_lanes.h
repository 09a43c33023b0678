// What a lane of shaders/conv.comp owns, and fetches of x.
#pragma once

#include <cstdint>

#include "graph/integer.h"
#include "ops/conv_phases.h"
#include "plan/lowering.h"

namespace heed::ops {

inline constexpr std::int64_t kMostWords = 16;  // of a row of x, in registers: vec4s, or as many elements
inline constexpr std::int64_t kSmallSums = 32;  // of a lane, which every device has registers for

/// x as the phases read it: slices, rows, and pieces of a row, of 4 elements or of one, with what lies around it in
/// memory unless kernels look.
struct PlacedX {
  Triple before = {0, 0, 0};
  Triple size = {1, 1, 1};  // in elements
  std::int64_t piece = 4;
  bool bounded = false;  // kernels look what lies outside
  bool padded = false;   // memory holds what lies around it

  std::int64_t row_pieces() const { return size[2] / piece; }
};

/// What a lane owns of the output of a phase, and how that meets the rows of x.
struct LaneTile {
  std::int64_t pixels = 8;  // of a row
  std::int64_t tall = 1;    // rows
  std::int64_t quads = 1;   // times four channels, where there is more than one
  /// Lanes that have the tile and hand on what they fetch of its x: those of a subgroup. 1: each fetches all of it.
  std::int64_t holders = 1;
  std::int64_t tiles = 1;  // of a row
  std::int64_t shift = 0;
  std::int64_t first_piece = 0;
  std::int64_t words = 1;       // vec4s of registers that a tile's pieces of a row of x take
  std::int64_t pieces = 1;      // and these
  std::int64_t row_pieces = 1;  // that a row needs

  std::int64_t sums() const { return pixels * tall * 4 * quads; }
  std::int64_t x_rows(const Phase& phase) const { return (tall - 1) * phase.stride[1] + phase.kernel[1]; }
  /// Of output channels, of a group.
  std::int64_t blocks(const Convolution& c) const { return c.outputs == 1 ? 1 : ceil_div(c.outputs, 4 * quads); }
  /// Of pixels of a phase, of all channels.
  std::int64_t places(const Convolution& c, const Phase& phase) const {
    return c.batch * c.groups * phase.out[0] * ceil_div(phase.out[1], tall) * tiles;
  }
};

/// What a lane fetches before it computes: rows of the kernel, or channels where the kernel has one row.
struct Fetch {
  std::int64_t rows = 1;
  std::int64_t channels = 1;
  bool deep = false;             // the kernel has more rows
  std::uint64_t iterations = 1;  // of loops for so many channels, the checks that end them included
};

/// As much as registers have room for.
Fetch fetch_of(const Convolution& c, const Phase& phase, const LaneTile& t);

/// Of the tiles with at most so many sums the one that costs least where a fetch costs as much as some multiplications,
/// as on CPU drivers (Tuning::conv_sums).
LaneTile tile_of(const Lowering& l, const Convolution& c, const Phase& phase, const PlacedX& x);

}  // namespace heed::ops
