// op expert_sum: y = residual + sum_j weights[.., j] x[.., j, :], what the experts of a row make, by their shares.
//
// inputs: x [.., k, N], weights [.., k], residual [.., N]?
#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {});
  c.expect_floats(0, "x");
  c.expect_floats(1, "weights");
  const Shape& x = c.input(0).shape;
  if (x.size() < 2) c.fail("x has fewer than two dimensions");
  c.expect_shape(1, Shape(x.begin(), x.end() - 1), "weights");
  Shape y = x;
  y.erase(y.end() - 2);
  if (c.has(2)) {
    c.expect_floats(2, "residual");
    c.expect_shape(2, y, "residual");
  }
  return {{DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const auto width = static_cast<std::size_t>(x.back());
  const auto chosen = static_cast<std::size_t>(x[x.size() - 2]);
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    const std::size_t t = i / width;
    double sum = c.has(2) ? c.in(2)[i] : 0.0;
    for (std::size_t j = 0; j < chosen; ++j) {
      sum += c.in(1)[t * chosen + j] * c.in(0)[(t * chosen + j) * width + i % width];
    }
    c.out(0)[i] = sum;
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(l.output().shape);
  if (count == 0) return;
  Dispatch d;
  d.shader = "expert_sum";
  const Binding from = l.read(0, View::F32);
  d.bindings = {from, l.read(1, View::F32), l.read_or(2, View::F32, from), l.write()};
  d.push_constants = {u32(count), u32(x.back())};
  d.specialization = {l.lanes(64), u32(x[x.size() - 2]), l.has(2)};
  d.groups = l.spread(ceil_div(u64(count), std::uint64_t{d.specialization[0]}));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_expert_sum;
const Op op_expert_sum = {{"expert_sum"}, infer, reference, lower};

}  // namespace heed::ops
