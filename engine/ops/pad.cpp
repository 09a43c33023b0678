// op pad: elements around a tensor, or fewer of them.
//
// pad(x, pads, value?, axes?): pads holds, for the axes (default: all), how many elements come before, then how many
// after; negative numbers take elements away, before anything is added. Attribute mode: "constant" (value, default 0),
// "reflect" (mirrored at the first and last element, which are not repeated), "edge" (these elements), "wrap".
#include "ops/pad.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 7;  // of shaders/pad.comp

PadMode mode_of(const InferContext& c) {
  const std::string mode = c.node.attributes.text("mode", "constant");
  if (mode == "constant") return PadMode::Constant;
  if (mode == "reflect") return PadMode::Reflect;
  if (mode == "edge") return PadMode::Edge;
  if (mode == "wrap") return PadMode::Wrap;
  c.fail(fmt::format("mode '{}' is none of 'constant', 'reflect', 'edge', 'wrap'", mode));
}

PadMode checked_mode(const Node& node) {
  const std::string mode = node.attributes.text("mode", "constant");
  return mode == "reflect" ? PadMode::Reflect
         : mode == "edge"  ? PadMode::Edge
         : mode == "wrap"  ? PadMode::Wrap
                           : PadMode::Constant;
}

/// `pads` and `axes` are elements that infer() has checked.
Padding padding_of(const Shape& x, const HostTensor& pads, const HostTensor* axes) {
  Padding p{x, x, Shape(x.size(), 0), dense_strides(x)};
  const std::size_t count = pads.data.size() / 2;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t d = axes == nullptr ? i : *axis_of(to_integer(axes->data[i]), x.size());
    const std::int64_t before = to_integer(pads.data[i]);
    const std::int64_t after = to_integer(pads.data[count + i]);
    p.x[d] = std::max<std::int64_t>(0, x[d] + std::min<std::int64_t>(before, 0) + std::min<std::int64_t>(after, 0));
    p.x_first += std::max<std::int64_t>(-before, 0) * p.stride[d];
    p.begin[d] = std::max<std::int64_t>(before, 0);
    p.y[d] = x[d] + before + after;
  }
  return p;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(4, {"mode"});
  const PadMode mode = mode_of(c);
  const Shape& x = c.input(0).shape;
  const std::vector<std::int64_t> pads = c.known_integers(1, "pads");
  std::size_t count = x.size();
  if (c.has(3)) {
    std::set<std::size_t> seen;
    for (const std::int64_t axis : c.known_integers(3, "axes")) {
      if (!seen.insert(c.axis(axis, 0)).second) c.fail(fmt::format("axis {} is named twice", axis));
    }
    count = seen.size();
  }
  if (pads.size() != 2 * count) c.fail(fmt::format("has {} pads, expected {}", pads.size(), 2 * count));
  for (const std::int64_t pad : pads) {
    if (std::abs(pad) > std::int64_t{1} << 30) c.fail(fmt::format("a pad of {} elements", pad));
  }
  if (c.has(2)) {
    if (element_count(c.input(2).shape) != 1) {
      c.fail(fmt::format("the value is {}, expected one element", to_string(c.input(2).shape)));
    }
    if (is_floating(c.input(2).dtype) != is_floating(c.input(0).dtype)) {
      c.fail(fmt::format("pads {} with {}", dtype_name(c.input(0).dtype), dtype_name(c.input(2).dtype)));
    }
  }
  const Padding p = padding_of(x, *c.known[1], c.has(3) ? c.known[3] : nullptr);
  for (std::size_t d = 0; d < x.size(); ++d) {
    if (p.y[d] < 0) c.fail(fmt::format("takes more than the {} elements of dimension {} away", x[d], d));
    if (p.x[d] == 0 && p.y[d] > 0 && mode != PadMode::Constant) {
      c.fail(fmt::format("dimension {} is empty: there is nothing to repeat", d));
    }
  }
  return {{c.input(0).dtype, p.y}};
}

/// Where in [0, size) the element `at` of a padded dimension comes from.
std::int64_t source(PadMode mode, std::int64_t at, std::int64_t size) {
  if (mode == PadMode::Edge) return std::clamp<std::int64_t>(at, 0, size - 1);
  if (size == 1) return 0;
  const std::int64_t period = mode == PadMode::Reflect ? 2 * (size - 1) : size;
  const std::int64_t within = (at % period + period) % period;
  return std::min(within, mode == PadMode::Reflect ? period - within : within);
}

void reference(const ReferenceContext& c) {
  const Padding p = padding_of(c.shape(0), *c.inputs[1], c.has(3) ? c.inputs[3] : nullptr);
  const PadMode mode = checked_mode(c.node);
  const double value = c.has(2) ? c.in(2)[0] : 0.0;
  const Loops loops = {p.y, {}};
  LoopCounter counter(loops);
  for (double& y : c.out(0)) {
    std::int64_t from = p.x_first;
    bool inside = true;
    for (std::size_t d = 0; d < p.y.size(); ++d) {
      const std::int64_t at = counter.index()[d] - p.begin[d];
      if (mode == PadMode::Constant) {
        inside = inside && at >= 0 && at < p.x[d];
        from += at * p.stride[d];
      } else {
        from += source(mode, at, p.x[d]) * p.stride[d];
      }
    }
    y = inside ? c.in(0)[static_cast<std::size_t>(from)] : value;
    counter.next();
  }
}

/// Fewer dimensions that say the same: where a dimension is whole, it joins the one outside it.
void merge(Padding& p, PadMode mode) {
  const auto whole = [&](std::size_t d) { return p.begin[d] == 0 && p.y[d] == p.x[d]; };
  const auto erase = [&](std::size_t d) {
    for (Shape* s : {&p.y, &p.x, &p.begin, &p.stride}) s->erase(s->begin() + static_cast<std::ptrdiff_t>(d));
  };
  for (std::size_t d = p.y.size(); d-- > 0;) {
    if (whole(d) && p.y[d] == 1) erase(d);
  }
  for (std::size_t d = p.y.size(); d-- > 1;) {
    if (!whole(d) || p.stride[d - 1] != p.stride[d] * p.x[d]) continue;
    if (mode != PadMode::Constant && !whole(d - 1)) continue;
    const std::int64_t size = p.x[d];
    p.y[d - 1] *= size;
    p.x[d - 1] *= size;
    p.begin[d - 1] *= size;
    p.stride[d - 1] = p.stride[d];
    erase(d);
  }
}

void lower(Lowering& l) {
  const PadMode mode = checked_mode(l.node());
  const Binding value =
      l.has(2) ? l.read(2, View::I32) : l.constant("pad.zero", std::array<std::int32_t, 1>{0}, View::I32);
  emit_pad(l, l.read(0, View::I32), l.write(), padding_of(l.input(0).shape, *l.known(1), l.known(3)), mode, value);
}

/// Along dimensions that are not padded.
std::vector<PartAxis> parts(const Lowering& l) {
  const Shape& x = l.input(0).shape;
  std::vector<bool> padded(x.size(), false);
  const HostTensor& pads = *l.known(1);
  const HostTensor* axes = l.known(3);
  const std::size_t count = pads.data.size() / 2;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t d = axes == nullptr ? i : *axis_of(to_integer(axes->data[i]), x.size());
    padded[d] = pads.data[i] != 0.0 || pads.data[count + i] != 0.0;
  }
  std::vector<PartAxis> result;
  for (std::size_t d = 0; d < x.size(); ++d) {
    if (!padded[d]) result.push_back(part_axis(l, x[d], {d}, {d}));
  }
  return result;
}

}  // namespace

void emit_pad(Lowering& l, const Binding& x, const Binding& y, Padding padding, PadMode mode, const Binding& value) {
  const auto count = static_cast<std::uint64_t>(element_count(padding.y));
  if (count == 0) return;
  if (count > 0x7fffffffu) l.fail("more than 2^31 elements");
  merge(padding, mode);
  if (padding.y.empty()) {
    for (Shape* s : {&padding.y, &padding.x, &padding.stride}) s->push_back(1);
    padding.begin.push_back(0);
  }
  const std::size_t used = padding.y.size();
  const std::uint32_t run = padding.y.back() < 8 ? 1 : 8;
  const std::uint64_t runs = ceil_div(static_cast<std::uint64_t>(padding.y.back()), run);
  const std::uint64_t invocations = count / static_cast<std::uint64_t>(padding.y.back()) * runs;
  if (used > kLoops) l.fail(fmt::format("pads more than {} dimensions", kLoops));
  Dispatch d;
  d.shader = "pad";
  d.bindings = {x, y, value};
  d.push_constants = {u32(invocations), i32(padding.x_first), u32(used)};
  for (const Shape* list : {&padding.y, &padding.x, &padding.begin, &padding.stride}) {
    for (std::size_t i = 0; i < kLoops; ++i) d.push_constants.push_back(i < used ? i32((*list)[i]) : 0);
  }
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, run, static_cast<std::uint32_t>(mode)};
  d.groups = l.spread(ceil_div(invocations, lanes));
  l.emit(std::move(d));
}

extern const Op op_pad;
const Op op_pad = {.names = {"pad"},
                   .infer = infer,
                   .reference = reference,
                   .lower = lower,
                   .planned = {{"pad", 1, 1}, {"pad", 3, 3}},
                   .parts = parts};

}  // namespace heed::ops
