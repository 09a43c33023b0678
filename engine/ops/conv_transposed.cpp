// How transposed convolutions of pictures become one dispatch of shaders/conv_transpose.comp.
#include <algorithm>
#include <array>
#include <iterator>

#include "constants/conv_transpose.h"
#include "graph/integer.h"
#include "ops/conv.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostStride = 4;           // of a row: a lane owns 4 or 8 pixels of every place
constexpr std::int64_t kMostWide = 16;            // taps of a row, in registers
constexpr std::int64_t kMostFetched = 24;         // of x and weights at a time, before they are used
constexpr std::uint64_t kIterationsAround = 256;  // of loops that a lane runs besides those over x

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

/// How tiles of a row of the output meet rows of x.
struct TransposedTiles {
  std::int64_t pixels = 8;
  std::int64_t tiles = 1;        // of a row
  std::int64_t piece = 4;        // elements
  std::int64_t first_piece = 0;  // of the first tile
  std::int64_t pieces = 1;       // that a tile reads
  std::int64_t rows = 1;         // of x that are fetched at a time
};

TransposedTiles tiles_of(const Window& w, bool vectors) {
  TransposedTiles t;
  const std::int64_t stride = w.stride[2];
  const std::int64_t kernel = w.kernel[2];
  t.piece = vectors ? 4 : 1;
  t.pixels = w.out[2] > 4 * stride && stride == 1 ? 8 : 4 * stride;
  t.tiles = ceil_div(w.out[2], t.pixels);
  // Tap k of pixel p reads element (p + begin - k) / stride, where that is whole.
  const std::int64_t first = -floor_div(kernel - 1 - w.begin[2], stride);
  const std::int64_t last = t.pixels / stride - 1 + ceil_div(w.begin[2], stride);
  t.first_piece = floor_div(first, t.piece);
  t.pieces = floor_div(last, t.piece) - t.first_piece + 1;
  const std::int64_t taps = ceil_div(w.kernel[1], w.stride[1]);  // of a column
  // Single elements take a register each, as vectors take four.
  const std::int64_t registers = ceil_div(t.pieces * t.piece, std::int64_t{4}) + kernel;
  t.rows = taps * registers <= kMostFetched ? taps : 1;
  return t;
}

}  // namespace

bool lower_transposed(Lowering& l, const Convolution& c) {
  const Window& w = c.window;
  const bool vectors = w.in[2] % 4 == 0;
  if (l.tuning().one_pass_convs < (vectors ? 1u : 2u) || c.channels == 0 || w.in_count() == 0) return false;
  if (w.in[0] != 1 || w.out[0] != 1 || w.kernel[0] != 1 || w.dilation != Triple{1, 1, 1}) return false;
  if (w.begin[1] < 0 || w.begin[2] < 0 || w.stride[2] > kMostStride || w.kernel[2] > kMostWide) return false;
  const TransposedTiles t = tiles_of(w, vectors);
  const std::int64_t blocks = c.outputs == 1 ? 1 : ceil_div(c.outputs, 4);
  const std::int64_t count = c.batch * c.groups * w.out[1] * t.tiles * blocks;
  if (count > 0x7fffffff) return false;
  // Twice what they are: llvmpipe counts more of nested loops than their rounds and their ends.
  const auto iterations = 2 * static_cast<std::uint64_t>(2 + ceil_div(w.kernel[1], w.stride[1] * t.rows));
  if (iterations + kIterationsAround > l.caps().max_loop_iterations) return false;
  const auto most = static_cast<std::int64_t>(
      std::min<std::uint64_t>((l.caps().max_loop_iterations - kIterationsAround) / iterations, 0x7fffff00));
  const std::int64_t step = std::min(most, c.channels);

  const Binding x = l.read(0, vectors ? View::F32x4 : View::F32);
  const Binding weights = place_taps(l, c, {w.kernel, 0, {w.kernel[1] * w.kernel[2], w.kernel[2], 1}}, 1, 0);
  const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
  for (std::int64_t first = 0; first < c.channels; first += step) {
    const std::int64_t end = std::min(c.channels, first + step);
    Dispatch d;
    d.shader = "conv_transpose";
    d.variant = {c.outputs == 1 ? "1" : "4", vectors ? "vectors" : "elements"};
    d.bindings = {x, weights};
    std::ranges::copy(epilogue_bindings(l, x), std::back_inserter(d.bindings));
    if (step < c.channels) d.bindings.back().access = Access::ReadWrite;
    d.push_constants = words_of(ConvTransposePush{
        .count = i32(count),
        .blocks = i32(blocks),
        .tiles = i32(t.tiles),
        .width = i32(w.out[2]),
        .height = i32(w.out[1]),
        .groups = i32(c.groups),
        .channels = i32(c.channels),
        .row_pieces = i32(w.in[2] / t.piece),
        .rows = i32(w.in[1]),
        .outputs = i32(c.outputs),
        .first_channel = i32(first),
        .end_channel = i32(end),
        .slope = static_cast<float>(epilogue.activation.slope),
    });
    const std::uint32_t lanes = l.lanes(8);
    d.specialization = words_of(ConvTransposeConstants{
        .lanes = lanes,
        .pixels = u32(t.pixels),
        .kernel = u32(w.kernel[2]),
        .stride = u32(w.stride[2]),
        .begin = u32(w.begin[2]),
        .kernel_y = u32(w.kernel[1]),
        .stride_y = u32(w.stride[1]),
        .begin_y = u32(w.begin[1]),
        .rows_at_once = u32(t.rows),
        .pieces = u32(t.pieces),
        .first_piece = i32(t.first_piece),
        .offset = i32(-t.first_piece * t.piece),
        .has_bias = l.has(2),
        .activation = epilogue.activation.number,
        .join = epilogue.join,
        .block = 1,
        .block_order = 0,
    });
    d.groups = l.spread(static_cast<std::uint64_t>(ceil_div(count, std::int64_t{lanes})));
    d.flops = c.flops(end - first, w.taps());
    l.emit(std::move(d));
  }
  return true;
}

}  // namespace heed::ops
