// op route: which experts of a mixture a row goes to, and their shares.
//
// inputs: logits [.., E]. Outputs: ids [.., k] i32, weights [.., k]. Attributes: chosen (k), normalise (default 0),
// scale (default 1), threshold (absent: none; not with normalise).
//
// ids are the k largest logits from the largest on; of equal ones the first comes first, and NaN is above all numbers.
// p = softmax(logits); weights are scale * p[ids], or with `normalise` scale * p[ids] / sum(p[ids]), which is the
// softmax of the chosen logits alone. A row with a NaN among all (with `normalise`: among the chosen) has no other
// weights.
//
// With a threshold t (SparseMixer, Liu et al. 2024, without its sampling of training): the r-th chosen, s its logit,
// has scale / sum(exp(x - s)), the sum over it and those experts of logit x that come behind it and are near, that is,
// s - x <= t * max(|x|, s). Such a weight is NaN where s is not finite.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"chosen", "normalise", "scale", "threshold"});
  c.expect_floats(0, "logits");
  Shape shape = c.input(0).shape;
  if (shape.empty()) c.fail("logits have no dimension");
  const std::int64_t chosen = c.node.attributes.integer("chosen");
  if (chosen < 1 || chosen > shape.back()) {
    c.fail(fmt::format("chooses {} of {} experts; expected 1 to {}", chosen, shape.back(), shape.back()));
  }
  if (c.node.attributes.has("threshold")) {
    const double threshold = c.node.attributes.real("threshold");
    if (!(threshold >= 0) || !std::isfinite(threshold)) {
      c.fail(fmt::format("threshold is {}; expected a number from 0 on", threshold));
    }
    if (c.node.attributes.integer("normalise", 0) != 0) c.fail("has both 'normalise' and a 'threshold'");
  }
  shape.back() = chosen;
  return {{DType::I32, shape}, {DType::F32, shape}};
}

constexpr std::uint32_t kNearShares = 2;  // of specialization constant SHARES of the shader; 0 among all, 1 the chosen

bool normalises(const Node& node) { return node.attributes.integer("normalise", 0) != 0; }

/// The share of the expert of this rank among those near it.
double share_of_near(const double* logits, const std::vector<std::size_t>& order, std::size_t rank, double threshold) {
  const double own = logits[order[rank]];
  if (!std::isfinite(own)) return std::nan("");
  double sum = 0.0;
  for (std::size_t i = rank; i < order.size(); ++i) {
    const double other = logits[order[i]];
    if (own - other <= threshold * std::max(std::abs(other), own)) sum += std::exp(other - own);
  }
  return 1.0 / sum;
}

void reference(const ReferenceContext& c) {
  const auto experts = static_cast<std::size_t>(c.shape(0).back());
  const auto chosen = static_cast<std::size_t>(c.node.attributes.integer("chosen"));
  const std::size_t rows = c.in(0).size() / experts;
  std::vector<std::size_t> order(experts);
  for (std::size_t row = 0; row < rows; ++row) {
    const double* logits = c.in(0).data() + row * experts;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      return std::isnan(logits[a]) ? !std::isnan(logits[b]) : logits[a] > logits[b];
    });
    const double scale = c.node.attributes.real("scale", 1.0);
    const double largest = logits[order[0]];
    double sum = 0.0;
    for (std::size_t i = 0; i < (normalises(c.node) ? chosen : experts); ++i) {
      sum += std::exp(logits[order[i]] - largest);
    }
    for (std::size_t i = 0; i < chosen; ++i) {
      if (c.outputs[0] != nullptr) c.out(0)[row * chosen + i] = static_cast<double>(order[i]);
      if (c.outputs.size() < 2 || c.outputs[1] == nullptr) continue;
      const double share = c.node.attributes.has("threshold")
                               ? share_of_near(logits, order, i, c.node.attributes.real("threshold"))
                               : std::exp(logits[order[i]] - largest) / sum;
      c.out(1)[row * chosen + i] = scale * share;
    }
  }
}

void lower(Lowering& l) {
  const Shape& logits = l.input(0).shape;
  const std::int64_t experts = logits.back();
  const std::int64_t chosen = l.attributes().integer("chosen");
  const std::int64_t rows = element_count(logits) / experts;
  if (rows == 0) return;
  Dispatch d;
  d.shader = "route";
  const auto output = [&](std::size_t i, const char* name) {
    if (l.wants_output(i)) return l.write(i);
    Binding unwanted = l.scratch(name, static_cast<std::uint64_t>(rows * chosen) * 4);
    unwanted.access = Access::Write;
    return unwanted;
  };
  d.bindings = {l.read(0, View::I32), output(0, "ids"), output(1, "weights")};
  const bool near = l.attributes().has("threshold");
  d.push_constants = {u32(rows), u32(experts), bits(l.attributes().real("scale", 1.0)),
                      bits(near ? l.attributes().real("threshold") : 0.0)};
  const auto iterations = [&](std::uint32_t lanes) {
    const std::uint64_t sums = near ? ceil_div(u64(chosen), std::uint64_t{lanes}) * (u64(experts) + 1) : 0;
    return ceil_div(u64(experts), std::uint64_t{lanes}) * (u64(experts) + 1) + 2 * u64(experts) + 2 + sums;
  };
  d.specialization = {l.lanes_within_loops(l.lanes(64), iterations), u32(chosen),
                      near ? kNearShares : std::uint32_t{normalises(l.node())}};
  if (u64(chosen) * 8 > l.caps().max_shared_memory) l.fail(fmt::format("chooses {} experts, too many", chosen));
  d.groups = l.spread(u64(rows));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_route;
const Op op_route = {{"route"}, infer, reference, lower};

}  // namespace heed::ops
