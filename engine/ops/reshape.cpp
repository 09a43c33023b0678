// op identity, reshape, squeeze, unsqueeze, flatten: the same elements under another shape.
//
// reshape(x, shape): -1 is what is left; 0 keeps the size at that place unless attribute allow_zero is 1. squeeze(x,
// axes) drops dimensions of size 1, all of them without axes. unsqueeze(x, axes) adds some. flatten(x): a matrix whose
// rows are the dimensions before attribute axis (default 1).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ops/op.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

Shape reshaped(const InferContext& c) {
  const Shape& x = c.input(0).shape;
  const bool zeros = c.node.attributes.integer("allow_zero", 0) == 0;
  Shape y = c.known_integers(1, "shape");
  const std::int64_t count = element_count(x);
  std::int64_t rest = 1;
  std::size_t open = y.size();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] == 0 && zeros) {
      if (i >= x.size()) c.fail(fmt::format("{} has no dimension {} to keep", to_string(x), i));
      y[i] = x[i];
    }
    if (y[i] == -1) {
      if (open < y.size()) c.fail("two dimensions are -1");
      open = i;
    } else if (y[i] < 0) {
      c.fail(fmt::format("a dimension is {}", y[i]));
    } else {
      rest *= y[i];
    }
  }
  if (open < y.size() && rest != 0) y[open] = count / rest;
  if (open < y.size() && rest == 0) y[open] = 0;
  if (element_count(y) != count) {
    c.fail(fmt::format("{} has {} elements, which do not make {}", to_string(x), count, to_string(y)));
  }
  return y;
}

std::set<std::size_t> axes_of(const InferContext& c, std::size_t rank) {
  std::set<std::size_t> axes;
  for (const std::int64_t axis : c.known_integers(1, "axes")) {
    const std::optional<std::size_t> at = axis_of(axis, rank);
    if (!at) c.fail(fmt::format("axis {} is outside {} dimensions", axis, rank));
    if (!axes.insert(*at).second) c.fail(fmt::format("axis {} is named twice", axis));
  }
  return axes;
}

std::vector<TensorType> infer(const InferContext& c) {
  const std::string& op = c.node.op;
  if (op == "reshape") {
    c.expect_only(2, {"allow_zero"});
  } else if (op == "flatten") {
    c.expect_only(1, {"axis"});
  } else {
    c.expect_only(op == "identity" ? 1 : 2, {});
  }
  const TensorType& x = c.input(0);
  Shape y;
  if (op == "identity") {
    y = x.shape;
  } else if (op == "reshape") {
    y = reshaped(c);
  } else if (op == "flatten") {
    const std::int64_t axis = c.node.attributes.integer("axis", 1);
    const auto rank = static_cast<std::int64_t>(x.shape.size());
    if (axis < -rank || axis > rank) c.fail(fmt::format("axis {} is outside {}", axis, to_string(x.shape)));
    y = {1, 1};
    for (std::int64_t i = 0; i < rank; ++i) {
      y[i < (axis < 0 ? axis + rank : axis) ? 0 : 1] *= x.shape[static_cast<std::size_t>(i)];
    }
  } else if (op == "squeeze") {
    std::set<std::size_t> axes;
    if (c.has(1)) {
      axes = axes_of(c, x.shape.size());
    } else {
      for (std::size_t i = 0; i < x.shape.size(); ++i) {
        if (x.shape[i] == 1) axes.insert(i);
      }
    }
    for (std::size_t i = 0; i < x.shape.size(); ++i) {
      if (!axes.contains(i)) {
        y.push_back(x.shape[i]);
      } else if (x.shape[i] != 1) {
        c.fail(fmt::format("dimension {} of {} is not 1", i, to_string(x.shape)));
      }
    }
  } else {
    const std::size_t rank = x.shape.size() + c.known_integers(1, "axes").size();
    const std::set<std::size_t> axes = axes_of(c, rank);
    std::size_t from = 0;
    for (std::size_t i = 0; i < rank; ++i) y.push_back(axes.contains(i) ? 1 : x.shape[from++]);
  }
  return {{is_floating(x.dtype) && dtype_info(x.dtype).block_elements > 1 ? DType::F32 : x.dtype, y}};
}

void reference(const ReferenceContext& c) { c.out(0) = c.in(0); }

void lower(Lowering& l) {
  if (l.alias(0, 0, 0)) return;
  const Shape count = {element_count(l.output().shape)};
  lower_copy(l, {{count, {{1}, {1}}}, 0, 0});
}

}  // namespace

extern const Op op_reshape;
const Op op_reshape = {{"identity", "reshape", "squeeze", "unsqueeze", "flatten"},
                       infer,
                       reference,
                       lower,
                       {{"reshape", 1, 1}, {"squeeze", 1, 1}, {"unsqueeze", 1, 1}}};

}  // namespace heed::ops
