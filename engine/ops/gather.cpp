// op gather, gather_elements, gather_nd: elements of x at places that integers name. Negative indices count from the
// end; one that names no place is an error.
//
// gather(x, i), attribute axis (default 0): y[a.., j.., b..] = x[a.., i[j..], b..].
// gather_elements(x, i), attribute axis (default 0): y has the shape of i, which has the rank of x and is no larger in
// the other dimensions; y[.., j, ..] = x[.., i[.., j, ..], ..].
// gather_nd(x, i), attribute batch_dims (default 0): the last dimension of i holds indices of as many dimensions of x
// after the first batch_dims, which both share.
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 8;  // of shaders/gather.comp

std::size_t axis_in(const Node& node, const Shape& x) { return *axis_of(node.attributes.integer("axis", 0), x.size()); }

/// What gather and gather_elements do.
struct AxisGather {
  Loops loops;  // over y; operand 0 is x without the axis, operand 1 are the indices
  std::int64_t size = 0;
  std::int64_t stride = 0;
};

AxisGather axis_gather(const Node& node, const Shape& x, const Shape& indices, const Shape& y) {
  const std::size_t axis = axis_in(node, x);
  Shape strides = dense_strides(x);
  AxisGather g{{y, {}}, x[axis], strides[axis]};
  if (node.op == "gather_elements") {
    strides[axis] = 0;
    g.loops.strides = {strides, dense_strides(indices)};
    return g;
  }
  const auto at = static_cast<std::ptrdiff_t>(axis);
  Shape from = strides;
  from.erase(from.begin() + at);
  from.insert(from.begin() + at, indices.size(), 0);
  Shape index(y.size(), 0);
  std::ranges::copy(dense_strides(indices), index.begin() + at);
  g.loops.strides = {from, index};
  return g;
}

/// What gather_nd does.
struct TupleGather {
  std::int64_t tuples = 1;  // of a batch
  std::int64_t batch_stride = 1;
  std::int64_t inner = 1;
  Shape sizes;
  Shape strides;
};

TupleGather tuple_gather(const Node& node, const Shape& x, const Shape& indices) {
  const auto batch = static_cast<std::size_t>(node.attributes.integer("batch_dims", 0));
  const auto length = static_cast<std::size_t>(indices.back());
  const Shape dense = dense_strides(x);
  TupleGather g;
  for (std::size_t d = batch; d + 1 < indices.size(); ++d) g.tuples *= indices[d];
  for (std::size_t d = batch; d < x.size(); ++d) g.batch_stride *= x[d];
  for (std::size_t d = batch; d < batch + length; ++d) {
    g.sizes.push_back(x[d]);
    g.strides.push_back(dense[d]);
  }
  for (std::size_t d = batch + length; d < x.size(); ++d) g.inner *= x[d];
  return g;
}

Shape nd_shape(const InferContext& c) {
  const Shape& x = c.input(0).shape;
  const Shape& indices = c.input(1).shape;
  const std::int64_t batch = c.node.attributes.integer("batch_dims", 0);
  if (indices.empty()) c.fail("the indices are a scalar");
  const auto rank = static_cast<std::int64_t>(x.size());
  if (batch < 0 || batch >= rank || batch >= static_cast<std::int64_t>(indices.size())) {
    c.fail(fmt::format("{} batch dimensions of {} and {}", batch, to_string(x), to_string(indices)));
  }
  if (indices.back() > rank - batch) {
    c.fail(fmt::format("{} indices for the dimensions of {} after the first {}", indices.back(), to_string(x), batch));
  }
  const auto first = static_cast<std::ptrdiff_t>(batch);
  if (!std::equal(x.begin(), x.begin() + first, indices.begin())) {
    c.fail(fmt::format("{} and {} differ in the first {} dimensions", to_string(x), to_string(indices), batch));
  }
  Shape y(indices.begin(), indices.end() - 1);
  y.insert(y.end(), x.begin() + first + indices.back(), x.end());
  return y;
}

std::vector<TensorType> infer(const InferContext& c) {
  const bool tuples = c.node.op == "gather_nd";
  c.expect_only(2, {tuples ? "batch_dims" : "axis"});
  const Shape& x = c.input(0).shape;
  const Shape& indices = c.input(1).shape;
  const DType type = moved_type(c.input(0).dtype);
  if (is_floating(c.input(1).dtype)) {
    c.fail(fmt::format("indices are {}, expected integers", dtype_name(c.input(1).dtype)));
  }
  if (tuples) return {{type, nd_shape(c)}};
  const std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), 0);
  if (c.node.op == "gather_elements") {
    bool fits = x.size() == indices.size();
    for (std::size_t d = 0; fits && d < x.size(); ++d) fits = d == axis || indices[d] <= x[d];
    if (!fits) c.fail(fmt::format("indices are {}, which do not fit {}", to_string(indices), to_string(x)));
    return {{type, indices}};
  }
  Shape y = x;
  y.erase(y.begin() + static_cast<std::ptrdiff_t>(axis));
  y.insert(y.begin() + static_cast<std::ptrdiff_t>(axis), indices.begin(), indices.end());
  return {{type, y}};
}

void reference(const ReferenceContext& c) {
  if (c.node.op != "gather_nd") {
    const AxisGather g = axis_gather(c.node, c.shape(0), c.shape(1), c.outputs[0]->type.shape);
    LoopCounter at(g.loops);
    for (double& y : c.out(0)) {
      const std::int64_t index = c.index(1, static_cast<std::size_t>(at.at(1)), g.size, true);
      y = c.in(0)[static_cast<std::size_t>(at.at(0) + index * g.stride)];
      at.next();
    }
    return;
  }
  const TupleGather g = tuple_gather(c.node, c.shape(0), c.shape(1));
  const std::size_t length = g.sizes.size();
  for (std::size_t i = 0; i < c.out(0).size(); ++i) {
    const std::size_t tuple = i / static_cast<std::size_t>(g.inner);
    std::int64_t from =
        static_cast<std::int64_t>(tuple) / g.tuples * g.batch_stride + static_cast<std::int64_t>(i) % g.inner;
    for (std::size_t d = 0; d < length; ++d) from += c.index(1, tuple * length + d, g.sizes[d], true) * g.strides[d];
    c.out(0)[i] = c.in(0)[static_cast<std::size_t>(from)];
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const Shape& indices = l.input(1).shape;
  const auto count = static_cast<std::uint64_t>(element_count(l.output().shape));
  if (count == 0) return;
  if (count > 0xffffffffu || element_count(x) > 0xffffffff) l.fail("more than 2^32 elements");
  Dispatch d;
  d.shader = "gather";
  d.bindings = {l.read(0, View::I32), l.read(1, View::I32), l.write()};
  d.push_constants = {u32(count)};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(count, lanes));
  const auto push = [&](const Shape& values) {
    for (const std::int64_t value : values) d.push_constants.push_back(i32(value));
  };
  if (l.node().op == "gather_nd") {
    TupleGather g = tuple_gather(l.node(), x, indices);
    if (!g.sizes.empty()) l.check_indices(1, "index", g.sizes, true);
    push({g.inner, g.tuples, g.batch_stride, static_cast<std::int64_t>(g.sizes.size())});
    g.sizes.resize(8);
    g.strides.resize(8);
    push(g.sizes);
    push(g.strides);
    d.variant = {"tuple"};
  } else {
    AxisGather g = axis_gather(l.node(), x, indices, l.output().shape);
    l.check_indices(1, "index", {g.size}, true);
    g.loops.merge();
    d.specialization.push_back(std::max(1u, u32(static_cast<std::int64_t>(g.loops.count()))));
    g.loops.pad(kLoops);
    push({g.size, g.stride});
    push({g.loops.sizes.begin() + 1, g.loops.sizes.end()});
    push(g.loops.strides[0]);
    push(g.loops.strides[1]);
    d.variant = {"axis"};
  }
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_gather;
const Op op_gather = {{"gather", "gather_elements", "gather_nd"}, infer, reference, lower};

}  // namespace heed::ops
