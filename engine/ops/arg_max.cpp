// op arg_max, arg_min: where along a dimension the largest, or smallest, element is, as i64.
//
// inputs: x. Attributes: axis (default 0), keep_dims (default 1), select_last_index (default 0: the first of equals).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

struct Split {
  std::int64_t outer = 1, length = 1, inner = 1;
};

Split split(const Node& node, const Shape& x) {
  const std::size_t axis = *axis_of(node.attributes.integer("axis", 0), x.size());
  Split s;
  for (std::size_t i = 0; i < x.size(); ++i) (i < axis ? s.outer : i == axis ? s.length : s.inner) *= x[i];
  return s;
}

bool wants_last(const Node& node) { return node.attributes.integer("select_last_index", 0) != 0; }

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"axis", "keep_dims", "select_last_index"});
  Shape y = c.input(0).shape;
  const std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), 0);
  if (y[axis] == 0) c.fail(fmt::format("{} has no elements along dimension {}", to_string(y), axis));
  y[axis] = 1;
  if (c.node.attributes.integer("keep_dims", 1) == 0) y.erase(y.begin() + static_cast<std::ptrdiff_t>(axis));
  return {{DType::I64, y}};
}

void reference(const ReferenceContext& c) {
  const Split s = split(c.node, c.shape(0));
  const double sign = c.node.op == "arg_min" ? -1.0 : 1.0;
  for (std::size_t o = 0; o < c.out(0).size(); ++o) {
    const auto row = static_cast<std::int64_t>(o);
    const std::int64_t base = row / s.inner * s.length * s.inner + row % s.inner;
    const auto element = [&](std::int64_t i) { return sign * c.in(0)[static_cast<std::size_t>(base + i * s.inner)]; };
    // NaN is where both the largest and the smallest are, as in NumPy.
    const auto above = [&](std::int64_t i, std::int64_t j) {
      return std::isnan(element(i)) ? !std::isnan(element(j)) : element(i) > element(j);
    };
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < s.length; ++i) {
      if (wants_last(c.node) ? !above(best, i) : above(i, best)) best = i;
    }
    c.out(0)[o] = static_cast<double>(best);
  }
}

void lower(Lowering& l) {
  const Split s = split(l.node(), l.input(0).shape);
  const auto outputs = static_cast<std::uint64_t>(s.outer * s.inner);
  const auto length = static_cast<std::uint64_t>(s.length);
  if (outputs == 0) return;
  if (outputs * length > 0xffffffffu) l.fail("more than 2^32 elements");
  // As many parts of an output as op reduce makes (ops/reduce.cpp).
  constexpr std::uint64_t kEnough = 4096;
  const auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(length)));
  const std::uint64_t longest = std::min<std::uint64_t>(l.caps().max_loop_iterations / 2, 1u << 20);
  const std::uint64_t parts = std::max({std::min({kEnough / outputs, length / 16, std::max<std::uint64_t>(root, 32)}),
                                        ceil_div(length, longest), std::uint64_t{1}});
  if (parts > longest) l.fail("has too many elements");
  const auto append = [&](const Binding& named, const Binding& y, std::uint64_t count, std::uint64_t shared,
                          bool candidates) {
    Dispatch d;
    d.shader = "arg_max";
    d.bindings = {l.read(0, View::I32), named, y};
    d.push_constants = {u32(outputs),
                        u32(shared),
                        u32(count),
                        u32(length),
                        u32(s.inner),
                        is_floating(l.input(0).dtype),
                        l.node().op == "arg_min",
                        wants_last(l.node()),
                        candidates};
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes};
    d.groups = l.spread(ceil_div(outputs * shared, lanes));
    l.emit(std::move(d));
  };
  const Binding x = l.read(0, View::I32);
  if (parts == 1) return append(x, l.write(), length, 1, false);
  Binding named = l.scratch("candidates", outputs * parts * 4);
  append(x, named, length, parts, false);
  named.access = Access::Read;
  named.view = View::I32;
  append(named, l.write(), parts, 1, true);
}

}  // namespace

extern const Op op_arg_max;
const Op op_arg_max = {{"arg_max", "arg_min"}, infer, reference, lower};

}  // namespace heed::ops
