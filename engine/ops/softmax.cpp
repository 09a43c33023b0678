// op softmax, log_softmax, hardmax: over one dimension, attribute axis (default -1), exp(x - max) / sum, its logarithm,
// and 1 for the first largest element beside zeros, where NaN is above all numbers.
#include <algorithm>
#include <cmath>

#include "ops/loops.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::size_t axis_in(const Node& node, const Shape& shape) {
  return *axis_of(node.attributes.integer("axis", -1), shape.size());
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"axis"});
  c.axis(c.node.attributes.integer("axis", -1), 0);
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
  const Split s = split(c.shape(0), axis_in(c.node, c.shape(0)));
  if (s.length == 0) return;
  for (std::size_t row = 0; row < s.outer * s.inner; ++row) {
    const std::size_t base = row / s.inner * s.length * s.inner + row % s.inner;
    double largest = c.in(0)[base];
    for (std::size_t i = 1; i < s.length; ++i) largest = std::max(largest, c.in(0)[base + i * s.inner]);
    double sum = 0.0;
    for (std::size_t i = 0; i < s.length; ++i) sum += std::exp(c.in(0)[base + i * s.inner] - largest);
    bool broken = false;
    for (std::size_t i = 0; i < s.length; ++i) broken = broken || std::isnan(c.in(0)[base + i * s.inner]);
    bool first = true;
    for (std::size_t i = 0; i < s.length; ++i) {
      const double x = c.in(0)[base + i * s.inner];
      double& y = c.out(0)[base + i * s.inner];
      if (c.node.op == "softmax") y = std::exp(x - largest) / sum;
      if (c.node.op == "log_softmax") y = x - largest - std::log(sum);
      if (c.node.op == "hardmax") {
        y = first && (broken ? std::isnan(x) : x == largest) ? 1.0 : 0.0;
        first = first && y == 0.0;
      }
    }
  }
}

void lower(Lowering& l) {
  const Split s = split(l.input(0).shape, axis_in(l.node(), l.input(0).shape));
  if (s.outer * s.length * s.inner == 0) return;
  const bool hard = l.node().op == "hardmax";
  // Its positions go through floats.
  if (hard && s.length > (std::size_t{1} << 24)) l.fail("more than 2^24 elements along a dimension");
  Dispatch d;
  d.shader = "softmax";
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  d.bindings = {l.read(0, View::F32), l.write()};
  d.push_constants = {u32(s.outer * s.inner), u32(s.length), u32(s.inner)};
  const std::uint32_t lanes = l.lanes_within_loops(l.lanes_of_row(s.length), [&](std::uint32_t width) {
    return 3 * (s.length / width + 1) + 3 * Lowering::reduce_iterations(width);
  });
  d.specialization = {lanes, l.node().op == "softmax" ? 0u : hard ? 2u : 1u};
  d.groups = l.spread(s.outer * s.inner);
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  return parts_along(l, 1, [axis = axis_in(l.node(), l.output().shape)](std::size_t d) { return d == axis; });
}

}  // namespace

extern const Op op_softmax;
const Op op_softmax = {.names = {"softmax", "log_softmax", "hardmax"},
                       .infer = infer,
                       .reference = reference,
                       .lower = lower,
                       .parts = parts};

}  // namespace heed::ops
