// How convolutions of many channels run as products of matrices in tiles of shared memory: one dispatch of
// shaders/conv_matrix.comp, which looks itself what lies outside of x, and where sums come in parts one more.
#include "ops/conv_matrix.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "constants/conv_matrix.h"
#include "constants/conv_parts.h"
#include "graph/integer.h"
#include "ops/linear_tiles.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kStepVectors = 8;     // of 4 channels that a workgroup takes at a time: tiles.glsl
constexpr std::uint64_t kLoopsAround = 256;  // iterations of a lane's loops besides those over steps
constexpr std::uint64_t kLoopsOfAStep = kStepVectors + 2;

/// The sums of an output: taps times vectors of 4 channels, in steps.
struct SumsOfOutput {
  std::int64_t channel_vectors = 0;
  std::int64_t steps = 0;
};

SumsOfOutput sums_of_output(const Convolution& c) {
  const std::int64_t vectors = ceil_div(c.channels, std::int64_t{4});
  return {vectors, ceil_div(vectors * c.window.taps(), kStepVectors)};
}

std::uint64_t tiles_of(const TileShape& shape, const Convolution& c) {
  return u64(c.groups * ceil_div(c.outputs, std::int64_t{shape.rows})) *
         u64(ceil_div(c.batch * c.window.out_count(), std::int64_t{shape.columns}));
}

/// As large as the tuning and the device's limits allow, or smaller where there would be too few of them. An output's
/// sum does not depend on it.
std::optional<TileShape> shape_of_tiles(const Lowering& l, const Convolution& c, std::int64_t parts) {
  std::optional<TileShape> shape;
  for (std::uint32_t tile = l.tuning().conv_tile; tile >= kLeastConvTile; tile /= 2) {
    const std::optional<TileShape> smaller = tile_shape(l.caps(), tile, channels_of_tile(c.outputs, tile));
    if (!smaller) break;
    shape = smaller;
    if (tiles_of(*shape, c) * u64(parts) >= l.tuning().conv_groups) break;
  }
  return shape;
}

/// [groups * outputs, taps, channels], channels padded to whole vectors.
Binding place_rows(Lowering& l, const Convolution& c, std::int64_t channel_vectors) {
  const Window& w = c.window;
  if (w.taps() == 1 && c.channels % 4 == 0) return l.read(1, View::F32x4);
  Padding padding;
  padding.y = {c.groups * c.outputs, w.kernel[0], w.kernel[1], w.kernel[2], channel_vectors * 4};
  padding.x = padding.y;
  padding.x.back() = c.channels;
  padding.begin = Shape(5, 0);
  padding.stride = {c.channels * w.taps(), w.kernel[1] * w.kernel[2], w.kernel[2], 1, w.taps()};
  return place_weight(l, std::move(padding), View::F32x4, "rows");
}

}  // namespace

bool fills_tiles(const Convolution& c, std::int64_t steps) {
  constexpr std::int64_t kFewOutputs = 16;  // tiles of fewer fetch more for their flops than conv.comp's lanes
  return c.outputs >= kFewOutputs && steps * kStepElements <= 2 * c.channels * c.window.taps();
}

SumParts SumParts::of(const Tuning& tuning, const Convolution& c, std::int64_t steps) {
  constexpr std::int64_t kNarrowTile = 64;
  constexpr std::int64_t kMostParts = 8;
  constexpr std::int64_t kLeastSteps = 8;  // each waits for memory; fewer are not worth a second dispatch
  const std::int64_t tiles = c.groups * ceil_div(c.outputs, kNarrowTile) * ceil_div(c.window.out_count(), kNarrowTile);
  std::int64_t wanted = 1;
  while (wanted < kMostParts && tiles * wanted < std::int64_t{tuning.conv_groups} &&
         steps >= 2 * wanted * kLeastSteps) {
    wanted *= 2;
  }
  SumParts parts;
  parts.steps = ceil_div(steps, wanted);
  parts.count = ceil_div(steps, parts.steps);
  if (parts.count > 1) parts.elements = parts.count * c.batch * c.groups * c.outputs * c.window.out_count();
  return parts;
}

bool SumParts::fit(const DeviceCaps& caps) const {
  return elements <= kMostElements && u64(elements) * 4 <= caps.largest_binding();
}

std::uint32_t channels_of_tile(std::int64_t outputs, std::uint32_t most) {
  std::uint32_t best = most;
  double least = 0.0;
  for (std::uint32_t rows = most; rows >= 8; rows /= 2) {
    const double cost = static_cast<double>(ceil_div(outputs, std::int64_t{rows}) * rows) * (1.0 + 8.0 / rows);
    if (least != 0.0 && cost >= least) continue;
    best = rows;
    least = cost;
  }
  return best;
}

std::uint32_t bounds_of(const Window& w) {
  const auto beyond = [&](std::size_t d) {
    return w.begin[d] > 0 || (w.out[d] - 1) * w.stride[d] - w.begin[d] + w.span(d) > w.in[d];
  };
  return beyond(0) ? 2 : beyond(1) || beyond(2) ? 1 : 0;
}

Binding bind_parts(Lowering& l, Dispatch& d, const Binding& x, const SumParts& parts) {
  Binding sums = l.scratch("parts", u64(parts.elements) * 4);
  sums.access = Access::Write;
  d.bindings[2] = d.bindings[3] = x;  // nobody looks
  d.bindings[4] = sums;
  return sums;
}

void emit_conv_parts(Lowering& l, const Convolution& c, Binding sums, const SumParts& parts) {
  sums.access = Access::Read;
  sums.view = View::F32;
  const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
  const std::int64_t count = c.batch * c.groups * c.outputs * c.window.out_count();
  Dispatch d;
  d.shader = "conv_parts";
  d.bindings = {sums, sums};
  std::ranges::copy(epilogue_bindings(l, sums), std::back_inserter(d.bindings));
  d.push_constants = words_of(ConvPartsPush{.count = i32(count),
                                            .outputs = i32(c.groups * c.outputs),
                                            .plane = i32(c.window.out_count()),
                                            .width = i32(c.window.out[2]),
                                            .parts = i32(parts.count),
                                            .slope = static_cast<float>(epilogue.activation.slope)});
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = words_of(ConvPartsConstants{.lanes = lanes,
                                                 .has_bias = l.has(2),
                                                 .activation = epilogue.activation.number,
                                                 .join = epilogue.join,
                                                 .block = u32(epilogue.block),
                                                 .block_order = epilogue.order});
  d.groups = l.spread(u64(ceil_div(count, std::int64_t{lanes})));
  l.emit(std::move(d));
}

bool lower_matrix(Lowering& l, const Convolution& c) {
  const Window& w = c.window;
  if (l.tuning().conv_tile < kLeastConvTile || c.transposed || c.channels == 0 || w.in_count() == 0) return false;
  const SumsOfOutput of_output = sums_of_output(c);
  if (!fills_tiles(c, of_output.steps)) return false;
  const std::int64_t pixels = c.batch * w.out_count();
  if (pixels * c.groups * c.outputs > kMostElements || c.batch * c.groups * c.channels * w.in_count() > kMostElements) {
    return false;
  }

  SumParts parts = SumParts::of(l.tuning(), c, of_output.steps);
  if (!parts.fit(l.caps())) {
    if (l.may_split()) l.fail_too_large("the parts of its sums are too large");
    parts = {.steps = of_output.steps};
  }
  if (u64(parts.steps) * kLoopsOfAStep + kLoopsAround > l.caps().max_loop_iterations) return false;
  const std::optional<TileShape> shape = shape_of_tiles(l, c, parts.count);
  if (!shape) return false;

  const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
  const Binding x = l.read(0, View::F32);
  Dispatch d;
  d.shader = "conv_matrix";
  d.bindings = {x, place_rows(l, c, of_output.channel_vectors)};
  std::ranges::copy(epilogue_bindings(l, x), std::back_inserter(d.bindings));
  Binding sums;
  if (parts.count > 1) sums = bind_parts(l, d, x, parts);
  ConvMatrixPush push = {};
  push.pixels = i32(pixels);
  put_window(w, push);
  push.groups = i32(c.groups);
  push.channels = i32(c.channels);
  push.outputs = i32(c.outputs);
  push.channel_vectors = i32(of_output.channel_vectors);
  push.row_tiles = i32(ceil_div(c.outputs, std::int64_t{shape->rows}));
  push.parts = i32(parts.count);
  push.part_steps = i32(parts.steps);
  push.slope = static_cast<float>(epilogue.activation.slope);
  d.push_constants = words_of(push);
  d.specialization = words_of(ConvMatrixConstants{.lanes = shape->lanes(),
                                                  .tile_rows = shape->rows,
                                                  .tile_columns = shape->columns,
                                                  .lane_rows = shape->lane_rows,
                                                  .lane_columns = shape->lane_columns,
                                                  .kernel_x = u32(w.kernel[2]),
                                                  .kernel_y = u32(w.kernel[1]),
                                                  .kernel_z = u32(w.kernel[0]),
                                                  .bounded = bounds_of(w),
                                                  .ragged = c.channels % 4 != 0,
                                                  .has_bias = l.has(2),
                                                  .activation = epilogue.activation.number,
                                                  .join = epilogue.join,
                                                  .block = u32(epilogue.block),
                                                  .block_order = epilogue.order,
                                                  .in_parts = parts.count > 1});
  d.groups = l.spread(tiles_of(*shape, c) * u64(parts.count));
  d.flops = c.flops();
  l.emit(std::move(d));
  if (parts.count > 1) emit_conv_parts(l, c, sums, parts);
  return true;
}

}  // namespace heed::ops
