// op max_pool, average_pool, lp_pool: x [B, C, in..] over one to three spatial dimensions -> [B, C, out..].
//
// Attributes kernel, and strides, dilations, pads, auto_pad, ceil_mode (ops/window.h). Padding never counts, but for
// average_pool with count_include_pad, where it counts as zeros as far as `pads` says. max_pool also gives the place of
// each maximum (the first one) as a flat index into x, i64, with attribute storage_order 1 as if the spatial dimensions
// of x were stored in column-major order; it takes integers too. lp_pool: the p-norm of the elements, attribute p.
#include "constants/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "constants/pool_rows.h"
#include "graph/integer.h"
#include "ops/op.h"
#include "ops/window.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum class Kind : std::uint32_t { Max, Average, Norm };  // of shaders/pool.comp

constexpr std::int64_t kMostTaps = 512;  // of a window that one invocation takes

Kind kind_of(const Node& node) {
  return node.op == "max_pool" ? Kind::Max : node.op == "average_pool" ? Kind::Average : Kind::Norm;
}

Window window_of(const Node& node, const Shape& x) {
  const std::vector<std::int64_t> kernel = node.attributes.integers("kernel");
  return sliding_window(node, x, kernel);
}

double lowest_of(DType type) {
  return type == DType::I8                          ? -128.0
         : type == DType::I16                       ? -32768.0
         : type == DType::I32 || type == DType::I64 ? static_cast<double>(std::numeric_limits<std::int32_t>::min())
                                                    : 0.0;
}

std::vector<TensorType> infer(const InferContext& c) {
  const Kind kind = kind_of(c.node);
  c.expect_only(1, {"kernel", "strides", "dilations", "pads", "auto_pad", "ceil_mode",
                    kind == Kind::Max       ? "storage_order"
                    : kind == Kind::Average ? "count_include_pad"
                                            : "p"});
  if (kind != Kind::Max) c.expect_floats(0, "x");
  const std::int64_t p = c.node.attributes.integer("p", 2);
  if (p < 1) c.fail(fmt::format("p is {}, expected 1 or more", p));
  const Shape& x = c.input(0).shape;
  const Shape y = window_of(c.node, x).shape(x[0], x[1]);
  const DType type = is_floating(c.input(0).dtype) ? DType::F32 : c.input(0).dtype;
  if (kind == Kind::Max) return {{type, y}, {DType::I64, y}};
  return {{type, y}};
}

void reference(const ReferenceContext& c) {
  const Kind kind = kind_of(c.node);
  const Window w = window_of(c.node, c.shape(0));
  const bool include = c.node.attributes.integer("count_include_pad", 0) != 0;
  const bool column_major = c.node.attributes.integer("storage_order", 0) != 0;
  const auto p = static_cast<double>(c.node.attributes.integer("p", 2));
  const std::int64_t planes = c.shape(0)[0] * c.shape(0)[1];
  const bool has_y = c.outputs[0] != nullptr;
  const bool has_indices = c.outputs.size() > 1 && c.outputs[1] != nullptr;
  const bool real = is_floating(c.inputs[0]->type.dtype);
  std::size_t i = 0;
  for (std::int64_t o = 0; o < planes * w.out_count(); ++o, ++i) {
    const std::int64_t plane = o / w.out_count() * w.in_count();
    const Triple out = {o / (w.out[1] * w.out[2]) % w.out[0], o / w.out[2] % w.out[1], o % w.out[2]};
    double largest = real ? -std::numeric_limits<double>::infinity() : lowest_of(c.inputs[0]->type.dtype);
    double sum = 0.0;
    std::int64_t index = -1;
    std::int64_t counted = 0;
    for (std::int64_t tap = 0; tap < w.taps(); ++tap) {
      const Triple k = {tap / (w.kernel[1] * w.kernel[2]), tap / w.kernel[2] % w.kernel[1], tap % w.kernel[2]};
      Triple at;
      bool inside = true;
      bool padding = true;
      for (std::size_t d = 0; d < 3; ++d) {
        at[d] = out[d] * w.stride[d] - w.begin[d] + k[d] * w.dilation[d];
        inside = inside && at[d] >= 0 && at[d] < w.in[d];
        padding = padding && at[d] < w.in[d] + w.end[d];
      }
      counted += inside || (include && padding);
      if (!inside) continue;
      const double x = c.in(0)[static_cast<std::size_t>(plane + (at[0] * w.in[1] + at[1]) * w.in[2] + at[2])];
      sum += kind == Kind::Norm ? std::pow(std::abs(x), p) : x;
      // NaN is above all numbers; then the first one counts.
      if (index >= 0 && !(std::isnan(x) ? !std::isnan(largest) : x > largest)) continue;
      largest = x;
      index = plane + (column_major ? (at[2] * w.in[1] + at[1]) * w.in[0] + at[0]
                                    : (at[0] * w.in[1] + at[1]) * w.in[2] + at[2]);
    }
    if (has_y) {
      c.out(0)[i] = kind == Kind::Max       ? largest
                    : kind == Kind::Average ? sum / static_cast<double>(std::max<std::int64_t>(counted, 1))
                                            : std::pow(sum, 1.0 / p);
    }
    if (has_indices) c.out(1)[i] = static_cast<double>(index);
  }
}

/// Appends the dispatch of shaders/pool_rows.comp. False, and nothing is appended, where that kernel does not fit.
bool lower_rows(Lowering& l, Kind kind, const Window& w) {
  constexpr std::int64_t kMostReads = 64;  // of a lane, which compilers unroll
  constexpr std::int64_t kPixels = 4;
  const bool fits = is_floating(l.input(0).dtype) && kind != Kind::Norm && l.wants_output(0) && !l.wants_output(1) &&
                    w.kernel[0] == 1 && w.in[0] == 1 && w.out[0] == 1 && w.dilation == Triple{1, 1, 1};
  const std::int64_t pixels = std::min(kPixels, w.out[2]);
  // Each alone first, so that their product cannot pass 2^63.
  const bool small = w.kernel[1] <= kMostReads && w.kernel[2] <= kMostReads && w.stride[2] <= kMostReads;
  if (!fits || !small || w.kernel[1] * ((pixels - 1) * w.stride[2] + w.kernel[2]) > kMostReads) return false;
  const bool include = l.attributes().integer("count_include_pad", 0) != 0;
  const std::int64_t tiles = ceil_div(w.out[2], pixels);
  const std::int64_t count = element_count(l.output().shape) / w.out[2] * tiles;
  Dispatch d;
  d.shader = "pool_rows";
  const std::int64_t elements = element_count(l.input(0).shape);
  const bool vectors = elements % 4 == 0;
  d.variant = {vectors ? "vectors" : "elements"};
  d.bindings = {l.read(0, vectors ? View::F32x4 : View::F32), l.write(0)};
  d.push_constants = words_of(PoolRowsPush{
      .count = u32(count),
      .tiles = u32(tiles),
      .width = u32(w.out[2]),
      .height = u32(w.out[1]),
      .in_width = narrow<std::int32_t>(w.in[2]),
      .in_height = narrow<std::int32_t>(w.in[1]),
      .x_words = narrow<std::int32_t>(elements / 4),
      .stride_y = u32(w.stride[1]),
      .begin_x = narrow<std::int32_t>(w.begin[2]),
      .begin_y = narrow<std::int32_t>(w.begin[1]),
      .counted_x = include ? narrow<std::int32_t>(w.in[2] + w.end[2]) : 0,
      .counted_y = include ? narrow<std::int32_t>(w.in[1] + w.end[1]) : 0,
  });
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = words_of(PoolRowsConstants{.lanes = lanes,
                                                .pixels = u32(pixels),
                                                .kernel_y = u32(w.kernel[1]),
                                                .kernel_x = u32(w.kernel[2]),
                                                .stride_x = u32(w.stride[2]),
                                                .mean = kind == Kind::Average});
  d.flops = saturating_product({u64(element_count(l.output().shape)), u64(w.taps())});
  d.groups = l.spread(static_cast<std::uint64_t>(ceil_div(count, std::int64_t{lanes})));
  l.emit(std::move(d));
  return true;
}

void lower(Lowering& l) {
  const Kind kind = kind_of(l.node());
  const Shape& x = l.input(0).shape;
  const Window w = window_of(l.node(), x);
  const std::int64_t count = x[0] * x[1] * w.out_count();
  if (count == 0) return;
  if (count > 0x7fffffff || element_count(x) > 0x7fffffff || w.taps() > 0x7fffffff) l.fail("more than 2^31 elements");
  if (element_count(x) > 0 && lower_rows(l, kind, w)) return;
  const bool real = is_floating(l.input(0).dtype);
  const bool y = l.wants_output(0);
  const bool indices = l.wants_output(1);
  const bool shared = w.taps() > kMostTaps;
  Dispatch d;
  d.shader = "pool";
  d.variant = {real ? "real" : "integer"};
  d.bindings = {l.read(0, real ? View::F32 : View::I32),
                y ? l.write(0) : l.scratch("y", static_cast<std::uint64_t>(count) * 4),
                indices ? l.write(1) : l.scratch("indices", 16)};
  d.bindings[1].access = d.bindings[2].access = Access::Write;
  const bool include = l.attributes().integer("count_include_pad", 0) != 0;
  PoolPush push = {};
  push.count = u32(count);
  copy_to_words(w.in, push.in_size);
  copy_to_words(w.out, push.out_size);
  copy_to_words(w.kernel, push.kernel);
  copy_to_words(w.stride, push.stride);
  copy_to_words(w.dilation, push.dilation);
  copy_to_words(w.begin, push.begin);
  for (std::size_t i = 0; i < 3 && include; ++i) push.counted[i] = narrow<std::int32_t>(w.in[i] + w.end[i]);
  push.column_major = u32(l.attributes().integer("storage_order", 0));
  push.p = static_cast<float>(l.attributes().integer("p", 2));
  push.lowest = narrow<std::int32_t>(static_cast<std::int64_t>(lowest_of(l.input(0).dtype)));
  d.push_constants = words_of(push);
  const std::uint32_t lanes =
      shared ? l.lanes_within_loops(l.lanes_of_row(u64(w.taps())),
                                    [&](std::uint32_t n) { return static_cast<std::uint64_t>(w.taps()) / n + 64; })
             : l.lanes(64);
  d.specialization = words_of(PoolConstants{.lanes = lanes,
                                            .kind = static_cast<std::uint32_t>(kind),
                                            .shared_window = shared,
                                            .has_indices = indices,
                                            .dilated = w.dilation != Triple{1, 1, 1}});
  d.flops = saturating_product({u64(count), u64(w.taps())});
  d.groups = l.spread(static_cast<std::uint64_t>(shared ? count : ceil_div(count, std::int64_t{lanes})));
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  if (l.wants_output(1)) return {};  // places count from the beginning of x
  return {part_axis(l, l.input(0).shape[0], {0}, {0}), part_axis(l, l.input(0).shape[1], {1}, {1})};
}

}  // namespace

extern const Op op_pool;
const Op op_pool = {.names = {"max_pool", "average_pool", "lp_pool"},
                    .infer = infer,
                    .reference = reference,
                    .lower = lower,
                    .parts = parts};

}  // namespace heed::ops
