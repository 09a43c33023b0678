#include "ops/conv_lanes.h"

#include <algorithm>

#include "graph/integer.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostProducts = 128;   // of a row of the kernel with the pixels of a lane
constexpr std::int64_t kMostUnrolled = 1280;  // multiplications of a step of a lane, which compilers unroll

LaneTile tile_of_pixels(const Phase& phase, const PlacedX& x, std::int64_t pixels) {
  LaneTile t;
  t.pixels = pixels;
  const std::int64_t first = phase.first[2] + x.before[2];
  t.first_piece = first >= 0 ? first / x.piece : -ceil_div(-first, x.piece);
  t.shift = first - t.first_piece * x.piece;
  const std::int64_t taps = std::max<std::int64_t>(1, phase.kernel[2]);
  const std::int64_t length = t.shift + (pixels - 1) * phase.stride[2] + (taps - 1) * phase.dilation[2] + 1;
  t.words = ceil_div(length, std::int64_t{4});
  t.pieces = ceil_div(length, x.piece);
  t.tiles = ceil_div(phase.out[2], pixels);
  t.row_pieces = t.first_piece + (t.tiles - 1) * pixels * phase.stride[2] / x.piece + t.pieces;
  return t;
}

/// One row and four channels, which fit the registers of every device.
LaneTile small_tile_of(const Phase& phase, const PlacedX& x) {
  const std::int64_t taps = std::max<std::int64_t>(1, phase.kernel[2]);
  std::int64_t pixels = phase.out[2] > 4 ? 8 : 4;
  // Fewer for long strides and kernels; tiles begin at whole pieces.
  while (pixels > 1 && pixels / 2 * phase.stride[2] % x.piece == 0 &&
         (tile_of_pixels(phase, x, pixels).words > kMostWords || pixels * taps > kMostProducts)) {
    pixels /= 2;
  }
  return tile_of_pixels(phase, x, pixels);
}

}  // namespace

Fetch fetch_of(const Convolution& c, const Phase& phase, const LaneTile& t) {
  const std::int64_t most = t.sums() > kSmallSums ? 40 : 24;
  const auto fetches = [&](std::int64_t x_words, std::int64_t taps) {
    return ceil_div(x_words, t.holders) + taps * t.quads;
  };
  Fetch fetch;
  if (phase.empty()) {
    fetch.deep = true;
  } else if (phase.kernel[0] * phase.kernel[1] == 1) {
    for (std::int64_t rows = 2; rows <= c.channels; ++rows) {
      if (fetches(rows * t.words, rows * phase.kernel[2]) > most) break;
      if (c.channels % rows == 0 && rows * phase.kernel[2] * t.sums() <= kMostUnrolled) fetch.rows = rows;
    }
    fetch.channels = fetch.rows;
  } else {
    if (fetches(t.words * t.x_rows(phase), phase.kernel[1] * phase.kernel[2]) <= most) fetch.rows = phase.kernel[1];
    fetch.deep = fetch.rows < phase.kernel[0] * phase.kernel[1];
  }
  if (fetch.deep) {
    const std::int64_t inner = phase.kernel[1] / fetch.rows;
    // Twice what they are: llvmpipe counts more of nested loops than their rounds and their ends.
    fetch.iterations = 2 * static_cast<std::uint64_t>(2 + phase.kernel[0] * (2 + inner));
  }
  return fetch;
}

LaneTile tile_of(const Lowering& l, const Convolution& c, const Phase& phase, const PlacedX& x) {
  const LaneTile small = small_tile_of(phase, x);
  const bool wide = std::int64_t{l.tuning().conv_sums} > kSmallSums;
  const bool hand_on = l.tuning().conv_shuffle && l.caps().can_hand_on();
  if ((!wide && !hand_on) || c.outputs == 1 || phase.empty()) return small;
  constexpr std::int64_t kFetchCost = 20;    // in multiplications of all lanes
  constexpr std::int64_t kElementCost = 10;  // of a single element
  constexpr std::int64_t kBoundCost = 4;     // of looking whether it lies outside
  constexpr std::int64_t kPadCost = 80;      // an element of x that is padded, likewise
  constexpr std::int64_t kSumCost = 2;       // a sum that is kept from one step to the next
  constexpr std::int64_t kHandCost = 1;      // an element that is handed to all lanes
  const Triple& in = c.window.in;
  LaneTile best = small;
  double least = 0.0;
  const auto consider = [&](LaneTile t) {
    const Fetch fetch = fetch_of(c, phase, t);
    const std::int64_t taps = phase.kernel[2] * fetch.rows;
    const bool small_enough = t.words <= kMostWords && taps * t.sums() <= kMostUnrolled;
    // Rows below the last are no reason to pad x.
    const bool fits = t.tall == 1 || (phase.dilation[1] == 1 && phase.kernel[0] == 1 && !fetch.deep &&
                                      (phase.out[1] % t.tall == 0 || x.before[1] > 0 || !x.padded));
    const std::int64_t blocks = t.blocks(c);
    const std::int64_t lanes = t.places(c, phase) * (ceil_div(blocks, t.holders) * t.holders);
    const bool enough = lanes >= ProductTuning::kFewestGroups * std::int64_t{l.lanes(8)};
    const bool first = least == 0.0;
    if (!first && (!small_enough || !fits || !enough)) return;
    const std::int64_t x_rows = t.tall == 1 ? fetch.rows : t.x_rows(phase);
    const bool beyond = t.row_pieces * x.piece > in[2];
    const bool bounded = !x.padded && (beyond || phase.first[1] < 0 || phase.first[2] < 0);
    const std::int64_t x_cost = (x.piece == 4 ? kFetchCost : kElementCost) + (bounded ? kBoundCost : 0);
    const std::int64_t fetches = x_rows * t.pieces;
    const std::int64_t x_costs =
        x_cost * ceil_div(fetches, t.holders) + (t.holders > 1 ? kHandCost * fetches * x.piece : 0);
    const std::int64_t step = x_costs + kFetchCost * taps * t.quads + taps * t.sums() + kSumCost * t.sums();
    const std::int64_t steps = c.channels * phase.kernel[0] * phase.kernel[1] / fetch.rows;
    double cost = static_cast<double>(lanes) * static_cast<double>(step) * static_cast<double>(steps);
    if (x.padded && x.before == Triple{0, 0, 0} && in[2] % 4 == 0 && beyond) {
      cost += static_cast<double>(kPadCost * c.batch * c.groups * c.channels * c.window.in_count());
    }
    if (!first && cost >= least) return;
    best = t;
    least = cost;
  };
  consider(small);
  // Rows of 28 and 56 pixels, as networks that classify pictures have them between, are no whole tiles of 16.
  for (std::int64_t pixels = 4; pixels <= 32; pixels += 4) {
    if (pixels * phase.stride[2] % x.piece != 0 || (pixels > 4 && phase.out[2] <= pixels - 4)) continue;
    for (const std::int64_t tall : {1, 2, 4}) {
      for (const std::int64_t quads : {1, 2, 4}) {
        LaneTile t = tile_of_pixels(phase, x, pixels);
        t.tall = tall;
        t.quads = quads;
        if (t.sums() > std::int64_t{l.tuning().conv_sums} || (tall > 1 && phase.kernel[1] == 1)) continue;
        consider(t);
        t.holders = l.caps().subgroup_size;
        if (hand_on) consider(t);
      }
    }
  }
  return best;
}

}  // namespace heed::ops
