// How convolutions run fast: x with its padding, the weights with output channels innermost, then one dispatch of
// shaders/conv.comp. A transposed convolution is as many ordinary ones as its strides have places: its phases, each of
// which gives every stride-th output with the taps that reach it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <optional>

#include "constants/conv.h"
#include "graph/integer.h"
#include "ops/activation.h"
#include "ops/conv.h"
#include "ops/loops.h"
#include "ops/pad.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostPhases = 64;         // of a transposed convolution
constexpr std::int64_t kMostTaps = 32;           // of a row of the kernel, in registers
constexpr std::int64_t kMostProducts = 128;      // of these with the pixels of a lane
constexpr std::int64_t kMostWords = 16;          // of a row of x, in registers: vec4s, or as many elements
constexpr std::uint64_t kOtherIterations = 256;  // of loops that a lane runs besides those over x

/// One ordinary convolution, or one of those that make a transposed one: output o < out lies at element y_first + o .
/// y_step of a channel of y, and tap k of it reads element first + o * stride + k * dilation of x, and element w_first
/// + k . w_step of the kernel.
struct Phase {
  Triple out = {1, 1, 1};
  Triple first = {0, 0, 0};
  Triple stride = {1, 1, 1};
  Triple kernel = {1, 1, 1};
  Triple dilation = {1, 1, 1};
  std::int64_t y_first = 0;
  Triple y_step = {0, 0, 0};
  std::int64_t w_first = 0;
  Triple w_step = {0, 0, 0};

  bool empty() const { return kernel[0] * kernel[1] * kernel[2] == 0; }
};

Binding zero_of(Lowering& l) { return l.constant("pad.zero", std::array<std::int32_t, 1>{0}, View::I32); }

Triple strides_of(const Triple& sizes) { return {sizes[1] * sizes[2], sizes[2], 1}; }

Phase forward_phase(const Window& w, std::int64_t block) {
  Phase phase;
  phase.out = w.out;
  for (std::size_t d = 0; d < 3; ++d) phase.first[d] = -w.begin[d];
  phase.stride = w.stride;
  phase.kernel = w.kernel;
  phase.dilation = w.dilation;
  // Rows of a picture of blocks: of a block, and of all blocks beside it.
  phase.y_step = {w.out[1] * w.out[2] * block * block, w.out[2] * block * block, block};
  phase.w_step = strides_of(w.kernel);
  return phase;
}

/// Outputs `place`, `place` + stride, ...: output o of them gets x[i] w[k] where
///   o * stride + place + begin = i * stride + k * dilation.
/// The taps that solve this lie evenly; from the last to the first they read x forwards.
Phase transposed_phase(const Window& w, const Triple& place) {
  Phase phase;
  const Triple y = strides_of(w.out);
  const Triple k = strides_of(w.kernel);
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t from = place[d] + w.begin[d];
    const std::int64_t step = w.stride[d] / std::gcd(w.stride[d], w.dilation[d]);
    std::int64_t tap = 0;
    while (tap < step && tap < w.kernel[d] && (from - tap * w.dilation[d]) % w.stride[d] != 0) ++tap;
    const std::int64_t taps = tap == step || tap >= w.kernel[d] ? 0 : (w.kernel[d] - 1 - tap) / step + 1;
    phase.out[d] = ceil_div(w.out[d] - place[d], w.stride[d]);
    phase.kernel[d] = taps;
    phase.dilation[d] = step * w.dilation[d] / w.stride[d];
    phase.first[d] = taps == 0 ? 0 : (from - tap * w.dilation[d]) / w.stride[d] - (taps - 1) * phase.dilation[d];
    phase.y_first += place[d] * y[d];
    phase.y_step[d] = w.stride[d] * y[d];
    phase.w_first += (tap + (taps - 1) * step) * k[d];
    phase.w_step[d] = -step * k[d];
  }
  return phase;
}

std::vector<Phase> phases_of(const Convolution& c, std::int64_t block) {
  const Window& w = c.window;
  if (!c.transposed) return {forward_phase(w, block)};
  Triple places;
  for (std::size_t d = 0; d < 3; ++d) places[d] = std::min(w.stride[d], w.out[d]);
  if (places[0] > kMostPhases || places[1] > kMostPhases || places[2] > kMostPhases) return {};
  if (places[0] * places[1] * places[2] > kMostPhases) return {};
  std::vector<Phase> phases;
  for (Triple p = {0, 0, 0}; p[0] < places[0]; ++p[0]) {
    for (p[1] = 0; p[1] < places[1]; ++p[1]) {
      for (p[2] = 0; p[2] < places[2]; ++p[2]) phases.push_back(transposed_phase(w, p));
    }
  }
  return phases;
}

/// A kernel of one element that goes over every place sees no neighbours: then the spatial dimensions become one.
Convolution flattened(Convolution c) {
  Window& w = c.window;
  const bool everywhere = w.taps() == 1 && w.stride == Triple{1, 1, 1} && w.begin == Triple{0, 0, 0} && w.in == w.out;
  if (everywhere) w.in = w.out = {1, 1, w.in_count()};
  return c;
}

/// How a phase meets the rows of x, in pieces of 4 elements or of one.
struct RowTiles {
  std::int64_t pixels = 8;
  std::int64_t tiles = 1;  // of a row
  std::int64_t shift = 0;
  std::int64_t first_piece = 0;
  std::int64_t words = 1;       // vec4s of registers that a tile's pieces take
  std::int64_t row_pieces = 1;  // that a row needs
};

RowTiles row_tiles_of(const Phase& phase, std::int64_t before, std::int64_t piece) {
  RowTiles t;
  const std::int64_t first = phase.first[2] + before;
  t.first_piece = first >= 0 ? first / piece : -ceil_div(-first, piece);
  t.shift = first - t.first_piece * piece;
  const std::int64_t taps = std::max<std::int64_t>(1, phase.kernel[2]);
  const auto words = [&](std::int64_t pixels) {
    return (t.shift + (pixels - 1) * phase.stride[2] + (taps - 1) * phase.dilation[2]) / 4 + 1;
  };
  t.pixels = phase.out[2] > 4 ? 8 : 4;
  // Fewer for long strides and kernels; tiles begin at whole pieces.
  while (t.pixels > 1 && t.pixels / 2 * phase.stride[2] % piece == 0 &&
         (words(t.pixels) > kMostWords || t.pixels * taps > kMostProducts)) {
    t.pixels /= 2;
  }
  t.words = words(t.pixels);
  t.tiles = ceil_div(phase.out[2], t.pixels);
  t.row_pieces = t.first_piece + (t.tiles - 1) * t.pixels * phase.stride[2] / piece + t.words * (4 / piece);
  return t;
}

/// x as the phases read it: slices, rows, and pieces of a row, with what lies around it in memory unless kernels look.
struct PaddedX {
  Triple before = {0, 0, 0};
  Triple size = {1, 1, 1};  // in elements
  std::int64_t piece = 4;
  bool bounded = false;
  bool padded = false;  // memory holds what lies around it

  std::int64_t row_pieces() const { return size[2] / piece; }
};

PaddedX padded_x(const std::vector<Phase>& phases) {
  PaddedX x;
  x.padded = true;
  for (const Phase& phase : phases) {
    for (std::size_t d = 0; d < 3; ++d) x.before[d] = std::max(x.before[d], -phase.first[d]);
  }
  for (const Phase& phase : phases) {
    if (phase.empty()) continue;
    for (std::size_t d = 0; d < 2; ++d) {
      x.size[d] = std::max(x.size[d], x.before[d] + phase.first[d] + (phase.out[d] - 1) * phase.stride[d] +
                                          (phase.kernel[d] - 1) * phase.dilation[d] + 1);
    }
    x.size[2] = std::max(x.size[2], 4 * row_tiles_of(phase, x.before[2], 4).row_pieces);
  }
  return x;
}

/// How x lies when nothing pads it: where it has all that is read, or where kernels look whether it has.
std::optional<PaddedX> unpadded_x(const Triple& in, const PaddedX& padded, const Tuning& tuning) {
  PaddedX x;
  x.size = in;
  x.bounded = padded.before != Triple{0, 0, 0} || padded.size[0] > in[0] || padded.size[1] > in[1] ||
              padded.size[2] > in[2] || in[2] % 4 != 0;
  x.piece = in[2] % 4 == 0 ? 4 : 1;
  if (x.bounded && tuning.one_pass_convs < (x.piece == 4 ? 1u : 2u)) return std::nullopt;
  return x;
}

Binding place_x(Lowering& l, const Convolution& c, const PaddedX& x) {
  const Triple& in = c.window.in;
  if (!x.padded) return l.read(0, x.piece == 4 ? View::F32x4 : View::F32);
  const std::int64_t planes = c.batch * c.groups * c.channels;
  Padding padding;
  padding.y = {planes, x.size[0], x.size[1], x.size[2]};
  padding.x = {planes, in[0], in[1], in[2]};
  padding.begin = {0, x.before[0], x.before[1], x.before[2]};
  padding.stride = dense_strides(padding.x);
  const Binding padded = l.scratch("x", static_cast<std::uint64_t>(element_count(padding.y)) * 4);
  Binding write = padded;
  write.access = Access::Write;
  emit_pad(l, l.read(0, View::I32), write, std::move(padding), PadMode::Constant, zero_of(l));
  Binding read = padded;
  read.access = Access::Read;
  read.view = View::F32x4;
  return read;
}

/// What a lane fetches before it computes: rows of the kernel, or channels where the kernel has one row.
struct Fetch {
  std::int64_t rows = 1;
  std::int64_t channels = 1;
  bool deep = false;             // the kernel has more rows
  std::uint64_t iterations = 1;  // of loops for so many channels, the checks that end them included
};

Fetch fetch_of(const Convolution& c, const Phase& phase, const RowTiles& t) {
  constexpr std::int64_t kMostFetches = 24;
  const std::int64_t fetches = t.words + phase.kernel[2];
  Fetch fetch;
  if (phase.empty()) {
    fetch.deep = true;
  } else if (phase.kernel[0] * phase.kernel[1] == 1) {
    while (c.channels % (2 * fetch.rows) == 0 && 2 * fetch.rows * fetches <= kMostFetches) fetch.rows *= 2;
    fetch.channels = fetch.rows;
  } else {
    if (phase.kernel[1] * fetches <= kMostFetches) fetch.rows = phase.kernel[1];
    fetch.deep = fetch.rows < phase.kernel[0] * phase.kernel[1];
  }
  if (fetch.deep) {
    const std::int64_t inner = phase.kernel[1] / fetch.rows;
    // Twice what they are: llvmpipe counts more of nested loops than their rounds and their ends.
    fetch.iterations = 2 * static_cast<std::uint64_t>(2 + phase.kernel[0] * (2 + inner));
  }
  return fetch;
}

void emit_phase(Lowering& l, const Convolution& c, const Phase& phase, const PaddedX& x, const Binding& read_x,
                const Binding& weights) {
  const RowTiles t = row_tiles_of(phase, x.before[2], x.piece);
  const std::int64_t blocks = c.outputs == 1 ? 1 : ceil_div(c.outputs, 4);
  const std::int64_t count = c.batch * c.groups * phase.out[0] * phase.out[1] * t.tiles * blocks;
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
    d.variant = {c.outputs == 1 ? "1" : "4", x.piece == 4 ? "vectors" : "elements"};
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
        .weight_step = i32(kernel[0] * kernel[1] * kernel[2] * blocks),
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
    const std::uint32_t lanes = l.lanes(8);
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
    });
    d.groups = l.spread(static_cast<std::uint64_t>(ceil_div(count, std::int64_t{lanes})));
    d.flops = saturating_product({2, u64(c.batch), u64(c.groups), u64(c.outputs), u64(phase.out[0]), u64(phase.out[1]),
                                  u64(phase.out[2]), u64(end - first), u64(kernel[0] * kernel[1] * kernel[2])});
    l.emit(std::move(d));
  }
}

}  // namespace

Binding place_taps(Lowering& l, const Convolution& c, const ConvTaps& taps, std::size_t number) {
  const bool one = c.outputs == 1;
  const View view = one ? View::F32 : View::F32x4;
  const std::int64_t count = c.window.taps();
  if (one && !c.transposed) return l.read(1, view);
  const std::int64_t outputs = one ? 1 : ceil_div(c.outputs, 4) * 4;
  const std::int64_t of_channel = c.transposed ? c.outputs * count : count;
  const std::int64_t of_output = c.transposed ? count : c.channels * count;
  Padding padding;
  padding.y = {c.groups, c.channels, taps.kernel[0], taps.kernel[1], taps.kernel[2], outputs};
  padding.x = padding.y;
  padding.x.back() = c.outputs;
  padding.begin = Shape(6, 0);
  padding.stride = {c.channels * c.outputs * count, of_channel, taps.step[0], taps.step[1], taps.step[2], of_output};
  padding.x_first = taps.first;
  if (std::optional<Binding> ordered = l.ordered(1, {padding.y, padding.x, padding.stride, padding.x_first}, view)) {
    return *ordered;
  }
  const Binding placed =
      l.scratch(fmt::format("w{}", number), static_cast<std::uint64_t>(element_count(padding.y)) * 4);
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
  const PaddedX padded = padded_x(phases);
  const PaddedX x = unpadded_x(c.window.in, padded, l.tuning()).value_or(padded);
  for (const Phase& phase : phases) {
    const RowTiles t = row_tiles_of(phase, x.before[2], x.piece);
    if (phase.kernel[2] > kMostTaps || t.words > kMostWords ||
        fetch_of(c, phase, t).iterations + kOtherIterations > l.caps().max_loop_iterations) {
      return false;
    }
    const std::int64_t lanes = c.batch * c.groups * phase.out[0] * phase.out[1] * t.tiles * ceil_div(c.outputs, 4);
    if (lanes > 0x7fffffff) return false;
  }
  const std::int64_t elements = c.batch * c.groups * c.channels * x.size[0] * x.size[1] * x.size[2];
  const std::uint64_t most = std::min(l.caps().max_storage_buffer_range, l.caps().max_memory_allocation);
  if (static_cast<std::uint64_t>(elements) * 4 > most) {
    if (l.may_split()) l.fail_too_large("x with its padding is too large");
    return false;
  }

  const Binding read_x = place_x(l, c, x);
  std::vector<Binding> weights;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const Phase& phase = phases[i];
    weights.push_back(phase.empty() ? read_x : place_taps(l, c, {phase.kernel, phase.w_first, phase.w_step}, i));
    if (c.outputs == 1) weights.back().view = View::F32;
  }
  for (std::size_t i = 0; i < phases.size(); ++i) emit_phase(l, c, phases[i], x, read_x, weights[i]);
  return true;
}

}  // namespace heed::ops
