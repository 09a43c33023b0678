// op softmax: exp(x - max) / sum over one dimension, attribute axis (default -1).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::size_t axis_of(const Node& node, const Shape& shape) {
  const std::int64_t axis = node.attributes.integer("axis", -1);
  const auto rank = static_cast<std::int64_t>(shape.size());
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"axis"});
  const Shape& shape = c.input(0).shape;
  if (axis_of(c.node, shape) >= shape.size()) {
    c.fail(fmt::format("axis {} is outside {}", c.node.attributes.integer("axis", -1), to_string(shape)));
  }
  c.expect_floats(0, "x");
  return {c.input(0)};
}

struct Split {
  std::size_t outer = 1, length = 1, inner = 1;
};

Split split(const Shape& shape, std::size_t axis) {
  Split s;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    (i < axis ? s.outer : i == axis ? s.length : s.inner) *= static_cast<std::size_t>(shape[i]);
  }
  return s;
}

void reference(const ReferenceContext& c) {
  const Split s = split(c.shape(0), axis_of(c.node, c.shape(0)));
  if (s.length == 0) return;
  for (std::size_t row = 0; row < s.outer * s.inner; ++row) {
    const std::size_t base = row / s.inner * s.length * s.inner + row % s.inner;
    double largest = c.in(0)[base];
    for (std::size_t i = 1; i < s.length; ++i) largest = std::max(largest, c.in(0)[base + i * s.inner]);
    double sum = 0.0;
    for (std::size_t i = 0; i < s.length; ++i) sum += std::exp(c.in(0)[base + i * s.inner] - largest);
    for (std::size_t i = 0; i < s.length; ++i) {
      c.out(0)[base + i * s.inner] = std::exp(c.in(0)[base + i * s.inner] - largest) / sum;
    }
  }
}

void lower(Lowering& l) {
  const Split s = split(l.input(0).shape, axis_of(l.node(), l.input(0).shape));
  if (s.outer * s.length * s.inner == 0) return;
  Dispatch d;
  d.shader = "softmax";
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  d.bindings = {l.read(0, View::F32), l.write()};
  d.push_constants = {static_cast<std::uint32_t>(s.outer * s.inner), static_cast<std::uint32_t>(s.length),
                      static_cast<std::uint32_t>(s.inner)};
  d.specialization = {l.lanes_within_loops(
      [&](std::uint32_t lanes) { return 3 * (s.length / lanes + 1) + 2 * Lowering::reduce_iterations(lanes); })};
  d.groups = l.spread(s.outer * s.inner);
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_softmax;
const Op op_softmax = {{"softmax"}, infer, reference, lower};

}  // namespace heed::ops
