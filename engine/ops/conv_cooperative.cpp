// How convolutions of many channels run as products of cooperative matrices: x becomes halves, channels side by side
// (shaders/conv_halves.comp), which tiles of shaders/conv_cooperative.comp gather, and where sums come in parts
// shaders/conv_parts.comp adds them up. Weights are made halves when they are uploaded.
#include "constants/conv_cooperative.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>

#include "constants/conv_halves.h"
#include "constants/halves.h"
#include "graph/integer.h"
#include "ops/conv_matrix.h"
#include "ops/linear_cooperative.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

static_assert(kHalvesExponent == kHalfExponent && kLeastHalvesExponent == kLeastExponent &&
              kBrokenHalves == kBrokenExponent);

constexpr std::int64_t kWordElements = 8;
constexpr std::int64_t kStepWords = kStepElements / kWordElements;

/// What is multiplied with each other.
struct ConvHalves {
  std::int64_t channel_words = 0;  // of a group
  std::int64_t steps = 0;          // of an output's sum
  std::int64_t row_words = 0;      // of a row of weights: taps, and as many more as whole steps need
  std::uint32_t of_x = 2, of_w = 2;
};

ConvHalves halves_of(const Lowering& l, const Convolution& c) {
  ConvHalves h;
  h.channel_words = ceil_div(c.channels, kWordElements);
  h.steps = ceil_div(c.window.taps() * h.channel_words, kStepWords);
  h.row_words = ceil_div(h.steps * kStepWords, h.channel_words) * h.channel_words;
  const DType dtype = l.input(1).dtype;
  h.of_x = u32(l.attributes().integer("halves", 2));
  h.of_w = h.of_x == 1 || dtype == DType::F16 || dtype == DType::BF16 ? 1 : 2;
  return h;
}

/// Bytes of shared memory: rows of a step and 8 halves more, exponents of pixels, and what subgroups lay out of their
/// sums.
std::uint64_t shared_bytes_of_conv(const CooperativeShape& s, const ConvHalves& h) {
  const std::uint64_t rows = std::uint64_t{h.of_w} * s.rows() + std::uint64_t{h.of_x} * s.columns();
  return rows * (kStepElements + 8) * 2 + std::uint64_t{s.columns()} * kStepWords * 4 +
         std::uint64_t{s.subgroups()} * s.matrix[0] * s.matrix[1] * 4;
}

std::uint64_t cooperative_tiles_of(const CooperativeShape& s, const Convolution& c) {
  return u64(c.groups * ceil_div(c.outputs, std::int64_t{s.rows()})) *
         u64(ceil_div(c.batch * c.window.out_count(), std::int64_t{s.columns()}));
}

/// As large as the tuning and the device's limits allow, or smaller where there would be too few of them. The matrix is
/// that of the largest: an output's sum does not depend on how many pictures there are.
std::optional<CooperativeShape> shape_of_matrices(const Lowering& l, const Convolution& c, const ConvHalves& h,
                                                  std::int64_t parts) {
  const auto fits = [&](const CooperativeShape& s) { return shared_bytes_of_conv(s, h) <= l.caps().max_shared_memory; };
  const std::uint32_t most = l.tuning().conv_tile;
  const std::optional<CooperativeShape> full = cooperative_shape(l.caps(), most, most, u32(kStepElements), fits);
  if (!full) return std::nullopt;
  std::optional<CooperativeShape> shape;
  for (std::uint32_t tile = most; tile >= kLeastConvTile; tile /= 2) {
    const std::optional<CooperativeShape> smaller =
        cooperative_shape(full->matrix, l.caps(), channels_of_tile(c.outputs, tile), tile, u32(kStepElements), fits);
    if (!smaller) break;
    shape = smaller;
    if (cooperative_tiles_of(*shape, c) * u64(parts) >= l.tuning().conv_groups) break;
  }
  return shape;
}

/// [half, group, output, tap, channel], channels padded to whole words, and taps to whole steps; and exponents of rows.
std::optional<std::array<Binding, 2>> place_halves(Lowering& l, const Convolution& c, const ConvHalves& h) {
  WeightOrder order;
  order.sizes = {c.groups * c.outputs, h.row_words / h.channel_words, h.channel_words * kWordElements};
  order.within = {c.groups * c.outputs, c.window.taps(), c.channels};
  order.strides = {c.channels * c.window.taps(), 1, c.window.taps()};
  order.halves = h.of_w;
  const std::uint64_t bytes = bytes_of_halves(order);
  const std::optional<Binding> whole = l.ordered(1, std::move(order), View::U32x4);
  if (!whole) return std::nullopt;
  std::array<Binding, 2> bindings = {*whole, *whole};
  bindings[0].size = bytes;
  bindings[1].offset += bytes;
  bindings[1].size -= bytes;
  bindings[1].view = View::I32;
  return bindings;
}

/// Lanes of a workgroup of conv_halves.comp: places side by side, and sharers of each.
ConvHalvesConstants constants_of_halves(const DeviceCaps& caps, const ConvHalves& h) {
  constexpr std::uint32_t kLeastPlaces = 16;  // 64 bytes side by side
  constexpr std::uint32_t kFewLanes = 64;
  const std::uint32_t most = std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], 256u});
  const auto words = static_cast<std::uint64_t>(h.channel_words);
  const auto sharers = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::bit_floor(words), std::bit_floor(std::max(1u, most / kLeastPlaces))));
  const std::uint32_t pixels = std::max(kLeastPlaces, kFewLanes / sharers);
  return {.lanes = pixels * sharers, .pixels = pixels, .sharers = sharers, .halves = h.of_x};
}

}  // namespace

bool lower_cooperative(Lowering& l, const Convolution& c) {
  const Window& w = c.window;
  const DeviceCaps& caps = l.caps();
  if (!l.tuning().conv_cooperative || l.tuning().conv_tile < kLeastConvTile || c.transposed || c.channels == 0 ||
      w.in_count() == 0 || caps.subgroup_size % kStepWords != 0) {
    return false;
  }
  const ConvHalves h = halves_of(l, c);
  if (!fills_tiles(c, h.steps)) return false;
  const std::int64_t pixels = c.batch * w.out_count();
  const std::int64_t places = c.batch * w.in_count();
  const std::int64_t x_words = std::int64_t{h.of_x} * places * c.groups * h.channel_words;
  const std::int64_t w_words = std::int64_t{h.of_w} * c.groups * c.outputs * h.row_words;
  if (pixels * c.groups * c.outputs > kMostElements || places * c.groups * c.channels > kMostElements ||
      x_words > kMostElements || w_words > kMostElements) {
    return false;
  }
  const SumParts parts = SumParts::of(l.tuning(), c, h.steps);
  const ConvHalvesConstants halves = constants_of_halves(caps, h);
  const std::uint64_t words_of_lane = u64(ceil_div(h.channel_words, std::int64_t{halves.sharers}));
  // Each of a step's fetches, and of its matrices, may be a round of a loop; and those of marks come eight times.
  if (u64(parts.steps) * 128 + u64(w.taps()) * 8 + 256 > caps.max_loop_iterations ||
      parts.steps * kStepElements * 4 >= kMostMarks ||
      words_of_lane * 32 + halves.sharers + 64 > caps.max_loop_iterations) {
    return false;
  }
  const std::optional<CooperativeShape> shape = shape_of_matrices(l, c, h, parts.count);
  if (!shape) return false;
  const bool too_large = u64(x_words) * 16 > caps.largest_binding() || !parts.fit(caps);
  if (too_large && !l.may_split()) return false;
  const std::optional<std::array<Binding, 2>> weights = place_halves(l, c, h);
  if (!weights) return false;
  // Rather than by another kernel than that of fewer pictures.
  if (too_large) l.fail_too_large("its halves, or the parts of its sums, are too large");

  Binding x = l.scratch("halves", u64(x_words) * 16);
  Binding exponents = l.scratch("exponents", u64(places * c.groups) * 4);
  x.access = exponents.access = Access::Write;
  {
    Dispatch d;
    d.shader = "conv_halves";
    d.bindings = {l.read(0, View::F32), x, exponents};
    d.push_constants = words_of(ConvHalvesPush{.pictures = i32(c.batch),
                                               .groups = i32(c.groups),
                                               .places = i32(w.in_count()),
                                               .channels = i32(c.channels),
                                               .channel_words = i32(h.channel_words)});
    d.specialization = words_of(halves);
    d.groups = l.spread(u64(c.batch * c.groups * ceil_div(w.in_count(), std::int64_t{halves.pixels})));
    l.emit(std::move(d));
  }
  x.access = exponents.access = Access::Read;
  x.view = View::U32x4;
  exponents.view = View::I32;
  const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
  Dispatch d;
  d.shader = "conv_cooperative";
  d.storage_only = true;
  d.bindings = {x, (*weights)[0]};
  std::ranges::copy(epilogue_bindings(l, x), std::back_inserter(d.bindings));
  d.bindings.push_back(exponents);
  d.bindings.push_back((*weights)[1]);
  Binding sums;
  if (parts.count > 1) sums = bind_parts(l, d, x, parts);
  ConvCooperativePush push = {};
  push.pixels = i32(pixels);
  put_window(w, push);
  push.pictures = i32(c.batch);
  push.groups = i32(c.groups);
  push.channel_words = i32(h.channel_words);
  push.row_words = i32(h.row_words);
  push.outputs = i32(c.outputs);
  push.row_tiles = i32(ceil_div(c.outputs, std::int64_t{shape->rows()}));
  push.parts = i32(parts.count);
  push.part_steps = i32(parts.steps);
  push.slope = static_cast<float>(epilogue.activation.slope);
  d.push_constants = words_of(push);
  d.specialization = words_of(ConvCooperativeConstants{.lanes = shape->subgroups() * caps.subgroup_size,
                                                       .m = shape->matrix[0],
                                                       .n = shape->matrix[1],
                                                       .k = shape->matrix[2],
                                                       .subgroup_size = caps.subgroup_size,
                                                       .subgroups_down = shape->subgroups_down,
                                                       .subgroups_across = shape->subgroups_across,
                                                       .matrix_rows = shape->matrix_rows,
                                                       .matrix_columns = shape->matrix_columns,
                                                       .x_halves = h.of_x,
                                                       .w_halves = h.of_w,
                                                       .kernel_x = u32(w.kernel[2]),
                                                       .kernel_y = u32(w.kernel[1]),
                                                       .kernel_z = u32(w.kernel[0]),
                                                       .bounded = bounds_of(w),
                                                       .has_bias = l.has(2),
                                                       .activation = epilogue.activation.number,
                                                       .join = epilogue.join,
                                                       .block = u32(epilogue.block),
                                                       .block_order = epilogue.order,
                                                       .in_parts = parts.count > 1});
  d.subgroup_size = caps.subgroup_size;
  d.groups = l.spread(cooperative_tiles_of(*shape, c) * u64(parts.count));
  d.flops = c.flops();
  l.emit(std::move(d));
  if (parts.count > 1) emit_conv_parts(l, c, sums, parts);
  return true;
}

}  // namespace heed::ops
