// op one_hot: indices as lines of a dimension of their own, in which one element differs from the others.
//
// inputs: indices (integers; negative ones count from the end, others outside name none), depth (one integer known when
// planned: the size of the dimension), values [2] (those of the others, that of the one). Attribute: axis (default -1:
// the new dimension is the last), inside (default 0; 1: an index that names none is an error).
#include <fmt/format.h>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::size_t axis_in(const Node& node, const Shape& y) {
  return *axis_of(node.attributes.integer("axis", -1), y.size());
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {"axis", "inside"});
  Shape y = c.input(0).shape;
  if (is_floating(c.input(0).dtype)) {
    c.fail(fmt::format("indices are {}, expected integers", dtype_name(c.input(0).dtype)));
  }
  // ONNX writes depths as reals too.
  const std::vector<double> depth = c.known_reals(1, "depth");
  if (depth.size() != 1 || !(depth[0] >= 0.0 && depth[0] <= 2147483647.0)) {
    c.fail(fmt::format("depth is {}, expected one size", depth.empty() ? 0.0 : depth[0]));
  }
  c.expect_shape(2, {2}, "values");
  y.push_back(0);
  const std::int64_t axis = c.node.attributes.integer("axis", -1);
  if (!axis_of(axis, y.size())) c.fail(fmt::format("axis {} is outside {} dimensions", axis, y.size()));
  y.pop_back();
  y.insert(y.begin() + static_cast<std::ptrdiff_t>(*axis_of(axis, y.size() + 1)), to_integer(depth[0]));
  return {{moved_type(c.input(2).dtype), y}};
}

struct Split {
  std::int64_t depth = 1, inner = 1;
};

Split split(const Node& node, const Shape& y) {
  const std::size_t axis = axis_in(node, y);
  Split s{y[axis], 1};
  for (std::size_t i = axis + 1; i < y.size(); ++i) s.inner *= y[i];
  return s;
}

void reference(const ReferenceContext& c) {
  const Split s = split(c.node, c.outputs[0]->type.shape);
  if (c.node.attributes.integer("inside", 0) != 0) {
    for (std::size_t e = 0; e < c.in(0).size(); ++e) c.index(0, e, s.depth, true);
  }
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    const std::int64_t line = static_cast<std::int64_t>(i) / s.inner;
    const std::int64_t from = line / s.depth * s.inner + static_cast<std::int64_t>(i) % s.inner;
    std::int64_t index = to_integer(c.in(0)[static_cast<std::size_t>(from)]);
    if (index < 0) index += s.depth;
    c.out(0)[i] = c.in(2)[index == line % s.depth ? 1 : 0];
  }
}

void lower(Lowering& l) {
  const Split s = split(l.node(), l.output().shape);
  const std::int64_t count = element_count(l.output().shape);
  if (count == 0) return;
  if (count > 0xffffffff) l.fail("more than 2^32 elements");
  if (l.attributes().integer("inside", 0) != 0) l.check_indices(0, "index", {s.depth}, true);
  Dispatch d;
  d.shader = "one_hot";
  d.bindings = {l.read(0, View::I32), l.read(2, View::I32), l.write()};
  d.push_constants = {u32(count), u32(s.depth), u32(s.inner)};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_one_hot;
const Op op_one_hot = {{"one_hot"}, infer, reference, lower, {{"one_hot", 1, 1}}};

}  // namespace heed::ops
