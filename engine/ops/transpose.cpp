// op transpose, expand, tile: elements in another order, or repeated.
//
// transpose(x): dimension i of the result is dimension perm[i] of x; without attribute perm they are reversed.
// expand(x, shape): broadcast to `shape`, both ways, as NumPy does it. tile(x, repeats): x that often in each
// dimension.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ops/op.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<std::int64_t> permutation(const Node& node, std::size_t rank) {
  if (node.attributes.has("perm")) return node.attributes.integers("perm");
  std::vector<std::int64_t> reversed(rank);
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return reversed;
}

std::vector<TensorType> infer(const InferContext& c) {
  const bool transpose = c.node.op == "transpose";
  c.expect_only(transpose ? 1 : 2, {transpose ? "perm" : ""});
  const TensorType& x = c.input(0);
  Shape y;
  if (transpose) {
    const std::vector<std::int64_t> perm = permutation(c.node, x.shape.size());
    std::vector<std::int64_t> sorted = perm;
    std::ranges::sort(sorted);
    bool whole = sorted.size() == x.shape.size();
    for (std::size_t i = 0; whole && i < sorted.size(); ++i) whole = sorted[i] == static_cast<std::int64_t>(i);
    if (!whole)
      c.fail(fmt::format("{} is no order of the dimensions of {}", to_string(Shape(perm)), to_string(x.shape)));
    for (const std::int64_t from : perm) y.push_back(x.shape[static_cast<std::size_t>(from)]);
  } else if (c.node.op == "expand") {
    const Shape shape = c.known_integers(1, "shape");
    const std::optional<Shape> both = broadcast(x.shape, shape);
    if (!both) c.fail(fmt::format("{} does not broadcast to {}", to_string(x.shape), to_string(shape)));
    y = *both;
  } else {
    const std::vector<std::int64_t> repeats = c.known_integers(1, "repeats");
    if (repeats.size() != x.shape.size()) {
      c.fail(fmt::format("{} repeats for {}", repeats.size(), to_string(x.shape)));
    }
    for (std::size_t i = 0; i < repeats.size(); ++i) {
      if (repeats[i] < 0) c.fail(fmt::format("{} repeats", repeats[i]));
      y.push_back(x.shape[i] * repeats[i]);
    }
  }
  return {{x.dtype, y}};
}

StridedCopy copy_of(const Node& node, const Shape& x, const Shape& y) {
  StridedCopy copy;
  if (node.op == "transpose") {
    const Shape from = dense_strides(x);
    copy.loops.sizes = y;
    Shape strides;
    for (const std::int64_t i : permutation(node, x.size())) strides.push_back(from[static_cast<std::size_t>(i)]);
    copy.loops.strides = {strides, dense_strides(y)};
  } else if (node.op == "expand") {
    copy.loops = {y, {broadcast_strides(x, y), dense_strides(y)}};
  } else {
    // Two loops a dimension: over the repeats, then over x.
    const Shape from = dense_strides(x);
    const Shape to = dense_strides(y);
    copy.loops.strides.resize(2);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::int64_t repeats = x[i] == 0 ? 0 : y[i] / x[i];
      copy.loops.sizes.insert(copy.loops.sizes.end(), {repeats, x[i]});
      copy.loops.strides[0].insert(copy.loops.strides[0].end(), {0, from[i]});
      copy.loops.strides[1].insert(copy.loops.strides[1].end(), {to[i] * x[i], to[i]});
    }
    copy.loops.merge();  // eight dimensions give sixteen loops
  }
  return copy;
}

void reference(const ReferenceContext& c) {
  copy_reference(c.in(0), c.out(0), copy_of(c.node, c.shape(0), c.outputs[0]->type.shape));
}

void lower(Lowering& l) {
  StridedCopy copy = copy_of(l.node(), l.input(0).shape, l.output().shape);
  copy.loops.merge();
  const bool moves_nothing = copy.loops.count() <= 1 && (copy.loops.count() == 0 || copy.loops.strides[0][0] == 1);
  if (moves_nothing && l.input(0).shape.size() <= kMaxRank && element_count(l.input(0).shape) > 0 &&
      element_count(l.input(0).shape) == element_count(l.output().shape) && l.alias(0, 0, 0)) {
    return;
  }
  lower_copy(l, copy);
}

}  // namespace

extern const Op op_transpose;
const Op op_transpose = {{"transpose", "expand", "tile"}, infer, reference, lower, {{"expand", 1, 1}, {"tile", 1, 1}}};

}  // namespace heed::ops
