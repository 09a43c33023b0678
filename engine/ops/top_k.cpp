// op top_k: the largest, or smallest, elements along a dimension in order, and where they are (i64).
//
// inputs: x, k (one integer known when planned). Outputs: values, indices?. Attributes: axis (default -1), largest
// (default 1), sorted (0 allows any order; they come in order all the same). Equal elements: the first one first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::size_t axis_in(const Node& node, const Shape& x) {
  return *axis_of(node.attributes.integer("axis", -1), x.size());
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"axis", "largest", "sorted"});
  Shape y = c.input(0).shape;
  const std::size_t axis = c.axis(c.node.attributes.integer("axis", -1), 0);
  const std::vector<std::int64_t> k = c.known_integers(1, "k");
  if (k.size() != 1) c.fail(fmt::format("has {} numbers k, expected one", k.size()));
  if (k[0] < 0 || k[0] > y[axis]) c.fail(fmt::format("k is {}, of {} along dimension {}", k[0], to_string(y), axis));
  y[axis] = k[0];
  return {{moved_type(c.input(0).dtype), y}, {DType::I64, y}};
}

struct Split {
  std::int64_t outer = 1, length = 1, inner = 1;
};

Split split(const Node& node, const Shape& x) {
  const std::size_t axis = axis_in(node, x);
  Split s;
  for (std::size_t i = 0; i < x.size(); ++i) (i < axis ? s.outer : i == axis ? s.length : s.inner) *= x[i];
  return s;
}

bool wants_largest(const Node& node) { return node.attributes.integer("largest", 1) != 0; }

void reference(const ReferenceContext& c) {
  const Split s = split(c.node, c.shape(0));
  const auto k = to_integer(c.in(1)[0]);
  std::vector<std::int64_t> order(static_cast<std::size_t>(s.length));
  for (std::int64_t line = 0; line < s.outer * s.inner; ++line) {
    const std::int64_t base = line / s.inner * s.length * s.inner + line % s.inner;
    const auto element = [&](std::int64_t i) { return c.in(0)[static_cast<std::size_t>(base + i * s.inner)]; };
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
      // NaN is above all numbers; without an order of its own it would leave none to sort by.
      const auto above = [](double x, double y) { return std::isnan(x) ? !std::isnan(y) : x > y; };
      return wants_largest(c.node) ? above(element(a), element(b)) : above(element(b), element(a));
    });
    for (std::int64_t i = 0; i < k; ++i) {
      const auto to = static_cast<std::size_t>((line / s.inner * k + i) * s.inner + line % s.inner);
      const std::int64_t from = order[static_cast<std::size_t>(i)];
      if (c.outputs[0] != nullptr) c.out(0)[to] = element(from);
      if (c.outputs.size() > 1 && c.outputs[1] != nullptr) c.out(1)[to] = static_cast<double>(from);
    }
  }
}

void lower(Lowering& l) {
  constexpr std::int64_t kBlock = 32;
  const Split s = split(l.node(), l.input(0).shape);
  const std::int64_t lines = s.outer * s.inner;
  const std::int64_t k = to_integer(l.known(1)->data[0]);
  if (lines == 0 || k == 0) return;
  if (lines * (s.length + kBlock) > 0x7fffffff) l.fail("more than 2^31 elements");
  const bool values = l.wants_output(0);
  const bool indices = l.wants_output(1);
  const Binding x = l.read(0, View::I32);

  struct Runs {
    std::int64_t covered, pitch, count;
  };
  const auto append = [&](std::uint32_t step, const Runs& runs, Binding given, const Binding& y, const Binding& places,
                          std::int64_t out_pitch) {
    Dispatch d;
    d.shader = "top_k";
    given.access = Access::Read;
    given.view = View::I32;
    d.bindings = {x, given, y, places};
    for (std::size_t i = 2; i < 4; ++i) {
      d.bindings[i].access = Access::Write;
      d.bindings[i].view = View::None;
    }
    const std::int64_t count = lines * runs.count * runs.pitch;
    d.push_constants = {u32(count),
                        u32(s.length),
                        u32(s.inner),
                        u32(k),
                        u32(runs.covered),
                        u32(runs.pitch),
                        u32(runs.count),
                        u32(out_pitch),
                        is_floating(l.input(0).dtype),
                        wants_largest(l.node()),
                        (values ? 1u : 0u) + (indices ? 2u : 0u)};
    const std::uint32_t lanes = l.lanes(64);
    d.specialization = {lanes, step};
    d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
    l.emit(std::move(d));
  };
  const auto room = [&](const std::string& name, const Runs& runs) {
    return l.scratch(name, static_cast<std::uint64_t>(lines * runs.count * runs.pitch) * 4);
  };

  Runs runs = {kBlock, std::min(k, kBlock), ceil_div(s.length, kBlock)};
  Binding sorted = room("blocks", runs);
  append(0, {kBlock, kBlock, runs.count}, x, sorted, sorted, runs.pitch);
  for (int step = 0; runs.count > 1; ++step) {
    const Runs merged = {runs.covered * 2, std::min(k, runs.covered * 2), ceil_div(runs.count, 2)};
    const Binding next = room(fmt::format("merged_{}", step), merged);
    append(1, runs, sorted, next, next, merged.pitch);
    sorted = next;
    runs = merged;
  }
  const Binding first = l.write(values ? 0 : 1);
  append(2, {runs.covered, runs.pitch, 1}, sorted, first, indices ? l.write(1) : first, k);
}

}  // namespace

extern const Op op_top_k;
const Op op_top_k = {{"top_k"}, infer, reference, lower, {{"top_k", 1, 1}}};

}  // namespace heed::ops
