// op triangle: matrices with zeros on one side of a diagonal.
//
// inputs: x [.., M, N], k? (one integer known when planned: the diagonal, so many columns right of the main one).
// Attribute: upper (default 1: what lies right of it stays).
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"upper"});
  const TensorType& x = c.input(0);
  if (x.shape.size() < 2) c.fail(fmt::format("x is {}, expected at least 2 dimensions", to_string(x.shape)));
  if (c.has(1) && c.known_integers(1, "k").size() != 1) {
    c.fail(fmt::format("k is {}, expected one element", to_string(c.input(1).shape)));
  }
  return {{moved_type(x.dtype), x.shape}};
}

std::int64_t diagonal(const HostTensor* k) {
  constexpr std::int64_t kFar = std::int64_t{1} << 30;  // farther than any matrix on a device is wide
  return k == nullptr ? 0 : std::clamp(to_integer(k->data[0]), -kFar, kFar);
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const std::int64_t k = diagonal(c.has(1) ? c.inputs[1] : nullptr);
  const bool upper = c.node.attributes.integer("upper", 1) != 0;
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t right = at % x.back() - at / x.back() % x[x.size() - 2];
    c.out(0)[i] = (upper ? right >= k : right <= k) ? c.in(0)[i] : 0.0;
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(x);
  if (count == 0) return;
  if (count > 0xffffffff) l.fail("more than 2^32 elements");
  Dispatch d;
  d.shader = "triangle";
  d.bindings = {l.read(0, View::I32), l.write()};
  d.push_constants = {u32(count), u32(x[x.size() - 2]), u32(x.back()), i32(diagonal(l.known(1))),
                      l.attributes().integer("upper", 1) != 0};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_triangle;
const Op op_triangle = {{"triangle"}, infer, reference, lower, {{"triangle", 1, 1}}};

}  // namespace heed::ops
