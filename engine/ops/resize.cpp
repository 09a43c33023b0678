// op resize: x [..] with other sizes, interpolated as ONNX's Resize does.
//
// resize(x, roi?, scales?, sizes?): one of scales and sizes, for the axes that attribute axes lists (default: all); roi
// with the coordinate mode "tf_crop_and_resize". Attributes mode ("nearest", "linear", "cubic"), coordinate_mode,
// nearest_mode, cubic_coeff_a, exclude_outside, extrapolation_value, antialias, keep_aspect_ratio_policy, axes.
// Integers only by "nearest".
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/resize_table.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

/// `elements(i)` gives the elements of input i, or nullptr. An empty tensor is as good as none.
template <typename Elements>
ResizeInputs inputs_of(Elements elements) {
  const auto given = [&](std::size_t i) -> const std::vector<double>* {
    const HostTensor* tensor = elements(i);
    return tensor == nullptr || tensor->data.empty() ? nullptr : &tensor->data;
  };
  return {given(1), given(2), given(3)};
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(4, {"mode", "coordinate_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside",
                    "extrapolation_value", "antialias", "axes", "keep_aspect_ratio_policy"});
  if (c.has(1)) c.known_reals(1, "roi");
  if (c.has(2)) c.known_reals(2, "scales");
  if (c.has(3)) c.known_integers(3, "sizes");
  const ResizeInputs inputs = inputs_of([&](std::size_t i) { return c.has(i) ? c.known[i] : nullptr; });
  const bool nearest = c.node.attributes.text("mode", "nearest") == "nearest";
  if (!nearest) c.expect_floats(0, "x");
  const DType type = c.input(0).dtype;
  return {{nearest ? type : DType::F32, resized_shape(c.node, c.input(0).shape, inputs)}};
}

void reference(const ReferenceContext& c) {
  const ResizeInputs inputs = inputs_of([&](std::size_t i) { return c.has(i) ? c.inputs[i] : nullptr; });
  const double extrapolation = c.node.attributes.real("extrapolation_value", 0.0);
  Shape shape = c.shape(0);
  std::vector<double> x = c.in(0);
  for (const ResizeAxis& t : resize_tables(c.node, shape, inputs)) {
    if (!t.changes()) continue;
    const Sides a = sides_of(shape, t.axis);
    std::vector<double> y;
    for (std::int64_t i = 0; i < a.outer * t.out * a.inner; ++i) {
      const std::int64_t o = i / a.inner % t.out;
      double sum = 0.0;
      for (std::int64_t k = o * t.taps; k < (o + 1) * t.taps; ++k) {
        const std::int64_t at = t.index[static_cast<std::size_t>(k)];
        const std::int64_t from = (i / a.inner / t.out * t.in + at) * a.inner + i % a.inner;
        const double value = at < 0 ? extrapolation : x[static_cast<std::size_t>(from)];
        const double weight = static_cast<double>(t.weight[static_cast<std::size_t>(k)]);
        sum += at < 0 && k > o * t.taps ? 0.0 : at < 0 ? value : weight * value;
      }
      y.push_back(sum);
    }
    x = std::move(y);
    shape[t.axis] = t.out;
  }
  c.out(0) = std::move(x);
}

void lower(Lowering& l) {
  const Shape& y = l.output().shape;
  if (element_count(y) == 0) return;
  const ResizeInputs inputs = inputs_of([&](std::size_t i) { return l.known(i); });
  std::vector<ResizeAxis> tables = resize_tables(l.node(), l.input(0).shape, inputs);
  std::erase_if(tables, [](const ResizeAxis& t) { return !t.changes(); });
  // What makes the tensor smaller comes first.
  std::ranges::stable_sort(tables, {},
                           [](const ResizeAxis& t) { return static_cast<double>(t.out) / static_cast<double>(t.in); });
  Shape shape = l.input(0).shape;
  const bool copies = l.attributes().text("mode", "nearest") == "nearest";
  Binding x = l.read(0, copies ? View::I32 : View::F32);
  if (tables.empty()) {
    if (l.alias(0, 0, 0)) return;
    return emit_copy(l, l.read(0, View::I32), l.write(), {{shape, {dense_strides(shape), dense_strides(shape)}}, 0, 0});
  }
  const double extrapolation = l.attributes().real("extrapolation_value", 0.0);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const ResizeAxis& t = tables[i];
    const Sides a = sides_of(shape, t.axis);
    shape[t.axis] = t.out;
    const auto count = static_cast<std::uint64_t>(element_count(shape));
    if (count > 0x7fffffffu) l.fail("more than 2^31 elements");
    if (static_cast<std::uint64_t>(t.taps) + 64 > l.caps().max_loop_iterations) {
      l.fail(fmt::format("antialiasing over {} elements needs more than {} loop iterations", t.taps,
                         l.caps().max_loop_iterations));
    }
    Binding to = i + 1 == tables.size() ? l.write() : l.scratch(fmt::format("pass{}", i), count * 4);
    to.access = Access::Write;
    const std::string name = fmt::format("{}.{}.", l.node().name, t.axis);
    Dispatch d;
    d.shader = "resize";
    d.variant = {copies ? "copy" : "sum"};
    const Binding index = l.constant(name + "index", t.index, View::I32);
    d.bindings = {x, index, copies ? index : l.constant(name + "weight", t.weight, View::F32), to};
    const bool integers = !is_floating(l.input(0).dtype);
    d.push_constants = {u32(count),  u32(t.in),
                        u32(t.out),  u32(a.inner),
                        u32(t.taps), integers ? i32(static_cast<std::int64_t>(extrapolation)) : bits(extrapolation)};
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes};
    d.groups = l.spread(ceil_div(count, lanes));
    l.emit(std::move(d));
    x = to;
    x.access = Access::Read;
    x.view = copies ? View::I32 : View::F32;
  }
}

/// Along dimensions that keep their size.
std::vector<PartAxis> parts(const Lowering& l) {
  if (l.attributes().text("keep_aspect_ratio_policy", "stretch") != "stretch") return {};
  const ResizeInputs inputs = inputs_of([&](std::size_t i) { return l.known(i); });
  const std::size_t rank = l.input(0).shape.size();
  std::vector<bool> changes(rank, false);
  for (const ResizeAxis& t : resize_tables(l.node(), l.input(0).shape, inputs)) changes[t.axis] = t.changes();
  // Where sizes are given, whose they are.
  std::vector<std::size_t> named;
  if (l.attributes().has("axes")) {
    for (const std::int64_t axis : l.attributes().integers("axes")) named.push_back(*axis_of(axis, rank));
  } else {
    for (std::size_t d = 0; d < rank; ++d) named.push_back(d);
  }
  std::vector<PartAxis> axes;
  for (std::size_t d = 0; d < rank; ++d) {
    if (changes[d]) continue;
    PartAxis axis = part_axis(l, l.input(0).shape[d], {d}, {d});
    const auto at = static_cast<std::size_t>(std::ranges::find(named, d) - named.begin());
    if (inputs.sizes != nullptr && at < named.size()) {
      axis.part = [whole = axis.part, sizes = *l.known(3), at](std::int64_t begin, std::int64_t count) {
        NodePart part = whole(begin, count);
        part.known[3] = sizes;
        part.known[3].data[at] = static_cast<double>(count);
        return part;
      };
    }
    axes.push_back(std::move(axis));
  }
  return axes;
}

}  // namespace

extern const Op op_resize;
const Op op_resize = {.names = {"resize"},
                      .infer = infer,
                      .reference = reference,
                      .lower = lower,
                      .planned = {{"resize", 1, 3}},
                      .parts = parts};

}  // namespace heed::ops
