// op batch_norm: y = (x - mean) / sqrt(variance + eps) * scale + bias, x [B, C, ..], all others [C] and given.
// Attribute eps (default 1e-5).
#include <fmt/format.h>

#include <cmath>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(5, {"eps"});
  const Shape& x = c.input(0).shape;
  if (x.size() < 2) c.fail(fmt::format("x is {}, expected [batch, channels, ..]", to_string(x)));
  constexpr std::string_view kNames[] = {"x", "scale", "bias", "mean", "variance"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (i > 0) c.expect_shape(i, {x[1]}, kNames[i]);
    c.expect_floats(i, kNames[i]);
  }
  c.node.attributes.real("eps", 1e-5);
  return {{DType::F32, x}};
}

std::int64_t inner_of(const Shape& x) {
  std::int64_t inner = 1;
  for (std::size_t d = 2; d < x.size(); ++d) inner *= x[d];
  return inner;
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const std::int64_t inner = inner_of(x);
  const double eps = c.node.attributes.real("eps", 1e-5);
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    const auto channel = static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % x[1]);
    c.out(0)[i] =
        (c.in(0)[i] - c.in(3)[channel]) / std::sqrt(c.in(4)[channel] + eps) * c.in(1)[channel] + c.in(2)[channel];
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(x);
  if (count == 0) return;
  if (count > 0x7fffffff) l.fail("more than 2^31 elements");
  Dispatch d;
  d.shader = "batch_norm";
  for (std::size_t i = 0; i < 5; ++i) d.bindings.push_back(l.read(i, View::F32));
  d.bindings.push_back(l.write());
  d.push_constants = {u32(count), u32(x[1]), u32(inner_of(x)), bits(l.attributes().real("eps", 1e-5))};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  std::vector<PartAxis> axes = parts_along(l, 1, [](std::size_t d) { return d == 1; });
  axes.insert(axes.begin() + 1, part_axis(l, l.output().shape[1], {1, 0, 0, 0, 0}, {1}));
  return axes;
}

}  // namespace

extern const Op op_batch_norm;
const Op op_batch_norm = {
    .names = {"batch_norm"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
