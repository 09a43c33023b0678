// How convolutions run fast: x, with its padding where kernels do not look themselves what lies outside, the weights
// with output channels innermost, then one dispatch of shaders/conv.comp. A transposed convolution is as many ordinary
// ones as its strides have places: its phases, each of which gives every stride-th output with the taps that reach it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include "constants/conv.h"
#include "constants/conv_pad.h"
#include "graph/integer.h"
#include "ops/activation.h"
#include "ops/conv.h"
#include "ops/conv_lanes.h"
#include "ops/conv_phases.h"
#include "ops/loops.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostTaps = 32;           // of a row of the kernel, in registers
constexpr std::uint64_t kOtherIterations = 256;  // of loops that a lane runs besides those over x

Binding zero_of(Lowering& l) { return l.constant("pad.zero", std::array<std::int32_t, 1>{0}, View::I32); }

/// A kernel of one element that goes over every place sees no neighbours: then the spatial dimensions become one.
Convolution flattened(Convolution c) {
  Window& w = c.window;
  const bool everywhere = w.taps() == 1 && w.stride == Triple{1, 1, 1} && w.begin == Triple{0, 0, 0} && w.in == w.out;
  if (everywhere) w.in = w.out = {1, 1, w.in_count()};
  return c;
}

/// x, and what lanes own of each phase.
struct Layout {
  PlacedX x;
  std::vector<LaneTile> tiles;
};

Layout layout_of(const Lowering& l, const Convolution& c, const std::vector<Phase>& phases) {
  const Triple& in = c.window.in;
  const bool vectors = in[2] % 4 == 0;
  const bool looks = l.tuning().one_pass_convs >= (vectors ? 1u : 2u);
  Layout layout;
  PlacedX& x = layout.x;
  Triple before = {0, 0, 0};
  for (const Phase& phase : phases) {
    for (std::size_t d = 0; d < 3; ++d) before[d] = std::max(before[d], -phase.first[d]);
  }
  x.piece = !looks || vectors ? 4 : 1;
  x.padded = !looks;
  if (x.padded) x.before = before;
  for (const Phase& phase : phases) {
    const LaneTile& t = layout.tiles.emplace_back(tile_of(l, c, phase, x));
    if (phase.empty()) continue;
    const Triple out = {phase.out[0], ceil_div(phase.out[1], t.tall) * t.tall, phase.out[2]};
    for (std::size_t d = 0; d < 2; ++d) {
      x.size[d] = std::max(x.size[d], x.before[d] + phase.first[d] + (out[d] - 1) * phase.stride[d] +
                                          (phase.kernel[d] - 1) * phase.dilation[d] + 1);
    }
    x.size[2] = std::max(x.size[2], x.piece * t.row_pieces);
  }
  const bool whole = before == Triple{0, 0, 0} && x.size[0] <= in[0] && x.size[1] <= in[1] && x.size[2] <= in[2];
  if (looks || (whole && vectors)) {
    x.padded = false;
    x.bounded = !whole;
    x.size = in;
  }
  return layout;
}

/// x, with zeros around it where its phases look there.
Binding place_x(Lowering& l, const Convolution& c, const PlacedX& x) {
  const Triple& in = c.window.in;
  if (!x.padded) return l.read(0, x.piece == 4 ? View::F32x4 : View::F32);
  const std::int64_t planes = c.batch * c.groups * c.channels;
  const bool words = in[2] % 4 == 0;
  // Long runs where lanes are worth more work than neighbouring writes.
  const std::int64_t run =
      std::min<std::int64_t>(std::int64_t{l.tuning().conv_sums} > kSmallSums ? 8 : 2, x.row_pieces());
  const std::int64_t count = planes * x.size[0] * x.size[1] * ceil_div(x.row_pieces(), run);
  Dispatch d;
  d.shader = "conv_pad";
  d.variant = {words ? "4" : "1"};
  const std::uint64_t bytes = static_cast<std::uint64_t>(planes * x.size[0] * x.size[1] * x.size[2]) * 4;
  Binding padded = l.scratch("x", bytes);
  padded.access = Access::Write;
  d.bindings = {l.read(0, words ? View::F32x4 : View::F32), padded};
  d.push_constants = words_of(ConvPadPush{
      .count = i32(count),
      .row_words = i32(x.row_pieces()),
      .rows = i32(x.size[1]),
      .slices = i32(x.size[0]),
      .in_elements = narrow<std::int32_t>(in[2]),
      .in_words = narrow<std::int32_t>(in[2] / 4),
      .in_rows = narrow<std::int32_t>(in[1]),
      .in_slices = narrow<std::int32_t>(in[0]),
      .begin_x = narrow<std::int32_t>(x.before[2]),
      .begin_y = narrow<std::int32_t>(x.before[1]),
      .begin_z = narrow<std::int32_t>(x.before[0]),
      .before_words = narrow<std::int32_t>(x.before[2] / 4),
  });
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = words_of(ConvPadConstants{
      .lanes = lanes, .run = u32(run), .shift = u32(x.before[2] % 4), .deep = x.size[0] > 1 || in[0] > 1});
  d.groups = l.spread(static_cast<std::uint64_t>(ceil_div(count, std::int64_t{lanes})));
  l.emit(std::move(d));
  Binding read = padded;
  read.access = Access::Read;
  read.view = View::F32x4;
  return read;
}

void emit_phase(Lowering& l, const Convolution& c, const Phase& phase, const LaneTile& t, const PlacedX& x,
                const Binding& read_x, const Binding& weights) {
  const std::int64_t blocks = t.blocks(c);
  const bool hand_on = t.holders > 1;
  const std::uint32_t lanes = hand_on ? u32(t.holders) : l.lanes(8);
  const std::int64_t count = t.places(c, phase) * ceil_div(blocks, t.holders);
  const Fetch fetch = fetch_of(c, phase, t);
  const Triple kernel = phase.empty() ? Triple{0, 0, 1} : phase.kernel;
  const std::int64_t channels = c.channels;
  const auto most = static_cast<std::int64_t>(
      std::min<std::uint64_t>((l.caps().max_loop_iterations - kOtherIterations) / fetch.iterations, 0x7fffff00));
  const std::int64_t step = std::min(most * fetch.channels, channels);
  for (std::int64_t first = 0; first < channels; first += step) {
    const std::int64_t end = std::min(channels, first + step);
    Dispatch d;
    d.shader = "conv";
    d.variant = {c.outputs == 1 ? "1" : "4", x.piece == 4 ? "vectors" : "elements", hand_on ? "shuffle" : "read"};
    d.bindings = {read_x, weights};
    std::ranges::copy(epilogue_bindings(l, read_x), std::back_inserter(d.bindings));
    if (step < channels) d.bindings.back().access = Access::ReadWrite;
    const ConvEpilogue epilogue = ConvEpilogue::of(l.attributes());
    d.push_constants = words_of(ConvPush{
        .count = i32(count),
        .blocks = i32(blocks),
        .tiles = i32(t.tiles),
        .width = i32(phase.out[2]),
        .height = i32(phase.out[1]),
        .depth = i32(phase.out[0]),
        .groups = i32(c.groups),
        .channels = i32(channels),
        .kernel_y = i32(kernel[1] / (fetch.deep ? fetch.rows : 1)),
        .kernel_z = i32(kernel[0]),
        .stride_z = i32(phase.stride[0]),
        .dilation_z = i32(phase.dilation[0]),
        .first_z = i32(phase.empty() ? 0 : phase.first[0] + x.before[0]),
        .weight_step = i32(kernel[0] * kernel[1] * kernel[2] * blocks * t.quads),
        .row_pieces = i32(x.row_pieces()),
        .rows = i32(x.size[1]),
        .slices = i32(x.size[0]),
        .y_first = i32(phase.y_first),
        .y_step = i32(phase.y_step[2]),
        .y_row = i32(phase.y_step[1]),
        .y_slice = i32(phase.y_step[0]),
        .y_channel = i32(c.window.out_count() * epilogue.block * epilogue.block),
        .outputs = i32(c.outputs),
        .first_channel = i32(first),
        .end_channel = i32(end),
        .slope = static_cast<float>(epilogue.activation.slope),
    });
    d.specialization = words_of(ConvConstants{
        .lanes = lanes,
        .pixels = u32(t.pixels),
        .kernel = u32(kernel[2]),
        .stride = u32(phase.stride[2]),
        .dilation = u32(phase.dilation[2]),
        .shift = u32(t.shift),
        .rows_at_once = u32(fetch.rows),
        .deep = fetch.deep,
        .channels_at_once = u32(fetch.channels),
        .stride_y = u32(phase.stride[1]),
        .dilation_y = u32(phase.dilation[1]),
        .first_y = i32(phase.empty() ? 0 : phase.first[1] + x.before[1]),
        .first_piece = i32(t.first_piece),
        .bounded = x.bounded,
        .has_bias = l.has(2),
        .activation = epilogue.activation.number,
        .join = epilogue.join,
        .block = u32(epilogue.block),
        .block_order = epilogue.order,
        .quads = u32(t.quads),
        .tall = u32(t.tall),
        .started = first > 0,
        .unfinished = end < channels,
    });
    d.groups = l.spread(static_cast<std::uint64_t>(hand_on ? count : ceil_div(count, std::int64_t{lanes})));
    d.flops = c.flops(end - first, kernel[0] * kernel[1] * kernel[2]);
    l.emit(std::move(d));
  }
}

}  // namespace

Binding place_taps(Lowering& l, const Convolution& c, const ConvTaps& taps, std::int64_t quads, std::size_t number) {
  const bool one = c.outputs == 1;
  const View view = one ? View::F32 : View::F32x4;
  const std::int64_t count = c.window.taps();
  if (one && !c.transposed) return l.read(1, view);
  const std::int64_t outputs = one ? 1 : ceil_div(c.outputs, 4 * quads) * 4 * quads;
  const std::int64_t of_channel = c.transposed ? c.outputs * count : count;
  const std::int64_t of_output = c.transposed ? count : c.channels * count;
  Padding padding;
  padding.y = {c.groups, c.channels, taps.kernel[0], taps.kernel[1], taps.kernel[2], outputs};
  padding.x = padding.y;
  padding.x.back() = c.outputs;
  padding.begin = Shape(6, 0);
  padding.stride = {c.channels * c.outputs * count, of_channel, taps.step[0], taps.step[1], taps.step[2], of_output};
  padding.x_first = taps.first;
  return place_weight(l, std::move(padding), view, fmt::format("w{}", number));
}

Binding place_weight(Lowering& l, Padding padding, View view, std::string name) {
  if (std::optional<Binding> ordered = l.ordered(1, {padding.y, padding.x, padding.stride, padding.x_first}, view)) {
    return *ordered;
  }
  const Binding placed = l.scratch(std::move(name), static_cast<std::uint64_t>(element_count(padding.y)) * 4);
  Binding write = placed;
  write.access = Access::Write;
  emit_pad(l, l.read(1, View::I32), write, std::move(padding), PadMode::Constant, zero_of(l));
  Binding read = placed;
  read.access = Access::Read;
  read.view = view;
  return read;
}

bool lower_tiles(Lowering& l, const Convolution& convolution) {
  const std::int64_t block = ConvEpilogue::of(l.attributes()).block;
  const Convolution c = block == 1 ? flattened(convolution) : convolution;
  const std::vector<Phase> phases = phases_of(c, block);
  if (phases.empty() || c.channels == 0 || c.window.in_count() == 0) return false;
  const Layout layout = layout_of(l, c, phases);
  const PlacedX& x = layout.x;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const Phase& phase = phases[i];
    const LaneTile& t = layout.tiles[i];
    if (phase.kernel[2] > kMostTaps || t.words > kMostWords ||
        fetch_of(c, phase, t).iterations + kOtherIterations > l.caps().max_loop_iterations) {
      return false;
    }
    const std::int64_t lanes = c.batch * c.groups * phase.out[0] * phase.out[1] * t.tiles * ceil_div(c.outputs, 4);
    if (lanes > 0x7fffffff) return false;
  }
  const std::int64_t elements = c.batch * c.groups * c.channels * x.size[0] * x.size[1] * x.size[2];
  const std::uint64_t most = l.caps().largest_binding();
  if (static_cast<std::uint64_t>(elements) * 4 > most) {
    if (l.may_split()) l.fail_too_large("x with its padding is too large");
    return false;
  }

  const Binding read_x = place_x(l, c, x);
  std::vector<Binding> weights;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const Phase& phase = phases[i];
    const ConvTaps taps = {phase.kernel, phase.w_first, phase.w_step};
    weights.push_back(phase.empty() ? read_x : place_taps(l, c, taps, layout.tiles[i].quads, i));
    if (c.outputs == 1) weights.back().view = View::F32;
  }
  for (std::size_t i = 0; i < phases.size(); ++i) {
    emit_phase(l, c, phases[i], layout.tiles[i], x, read_x, weights[i]);
  }
  return true;
}

}  // namespace heed::ops
