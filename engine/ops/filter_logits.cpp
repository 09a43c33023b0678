// op filter_logits: the filters that op sample and sample_rows do not have, before these: logits of tokens that are not
// to be drawn become -infinity.
//
// S sequences, whose rows are the last of the logits. inputs: logits [R, V], R >= S; position [S] i32; sampler [S, 16]
// or, for one sequence, [16] i32 (ops/sample.h); rules [S, 32] i32 (ops/logit_rules.h). output: [S, V] f32.
//
// A sequence at a negative position, one whose rules have `filters` 0, and one with NaN, infinity or nothing finite
// among its logits is copied. Of others, with the probabilities of logits divided by the temperature, each of these
// keeps some of what the one before it kept: top-k the k largest (of equals the first); typical-p (Meister, Pimentel,
// Wiher, Cotterell 2022), of the tokens in the order of | -log p - entropy | the fewest that have this probability
// together, and equals of the last; top-p, in the order of p, likewise; min-p what is at least min_p as probable as the
// best; XTC, at xtc_probability, drops what has at least xtc_threshold, but for the least probable of these and its
// equals. Whether XTC does is drawn with a number of the generator Philox 4x32-10 at the counter (step, stream, 1, 0).
// Probabilities are those among what is left, so that they sum to 1 before each filter.
#include "constants/filter_logits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "graph/integer.h"
#include "ops/logit_rules.h"
#include "ops/op.h"
#include "ops/sample.h"
#include "ops/sample_kernels.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum Input : std::size_t { kLogits, kPosition, kSampler, kRules };

/// Cuts `order` behind the fewest tokens that have the share p of the weight of all, and equals of the last of them.
void keep_mass(std::vector<std::size_t>& order, double p, const auto& weight, const auto& key) {
  double total = 0.0;
  for (const std::size_t token : order) total += weight(token);
  double mass = 0.0;
  std::size_t kept = 0;
  while (kept < order.size()) {
    mass += weight(order[kept++]);
    if (mass >= p * total) break;
  }
  while (kept < order.size() && key(order[kept]) == key(order[kept - 1])) ++kept;
  order.resize(kept);
}

}  // namespace

void filter_logits(std::vector<double>& logits, const LogitRules& rules, double chance) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<double>::infinity()) return;
    if (std::isfinite(logits[i])) order.push_back(i);
  }
  if (order.empty()) return;
  const auto by_logit = [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; };
  const auto logit = [&](std::size_t token) { return logits[token]; };
  std::stable_sort(order.begin(), order.end(), by_logit);
  if (rules.top_k > 0 && rules.top_k < order.size()) order.resize(rules.top_k);
  const double best = logits[order.front()];
  const auto height = [&](std::size_t token) {
    return (logits[token] - best) / static_cast<double>(rules.temperature);
  };
  const auto weight = [&](std::size_t token) { return std::exp(height(token)); };
  if (rules.typical_p < 1.0f) {
    double total = 0.0;
    for (const std::size_t token : order) total += weight(token);
    double entropy = 0.0;
    for (const std::size_t token : order) {
      const double p = weight(token) / total;
      if (p > 0.0) entropy -= p * std::log(p);
    }
    const auto deviation = [&](std::size_t token) { return std::abs(std::log(total) - height(token) - entropy); };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return deviation(a) < deviation(b); });
    keep_mass(order, static_cast<double>(rules.typical_p), weight, deviation);
    std::stable_sort(order.begin(), order.end(), by_logit);
  }
  if (rules.top_p < 1.0f) keep_mass(order, static_cast<double>(rules.top_p), weight, logit);
  const double most = weight(order.front());
  std::erase_if(order, [&](std::size_t token) { return weight(token) < static_cast<double>(rules.min_p) * most; });
  if (chance < static_cast<double>(rules.xtc_probability)) {
    double total = 0.0;
    for (const std::size_t token : order) total += weight(token);
    const auto likely = [&](std::size_t token) {
      return weight(token) >= static_cast<double>(rules.xtc_threshold) * total;
    };
    const auto last = std::find_if_not(order.begin(), order.end(), likely);
    if (last != order.begin()) {
      const double least = logits[*(last - 1)];
      std::erase_if(order, [&](std::size_t token) { return logits[token] > least; });
    }
  }
  std::vector<double> kept(logits.size(), -std::numeric_limits<double>::infinity());
  for (const std::size_t token : order) kept[token] = logits[token];
  logits = std::move(kept);
}

namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(4, {});
  c.expect_rank(kLogits, 2, "logits");
  c.expect_floats(kLogits, "logits");
  c.expect_rank(kPosition, 1, "position");
  const Shape& logits = c.input(kLogits).shape;
  const std::int64_t sequences = c.input(kPosition).shape[0];
  if (sequences < 1 || logits[0] < sequences || logits[1] < 1) {
    c.fail(fmt::format("logits are {}, expected a row or more for each of {} sequences", to_string(logits), sequences));
  }
  if (sequences > 1 || c.input(kSampler).shape.size() != 1) {
    c.expect_shape(kSampler, {sequences, kSamplerWords}, "sampler");
  } else {
    c.expect_shape(kSampler, {kSamplerWords}, "sampler");
  }
  c.expect_shape(kRules, {sequences, kLogitRulesWords}, "rules");
  for (const std::size_t i : {kPosition, kSampler, kRules}) c.expect_integers(i, "the step state");
  return {{DType::F32, {sequences, logits[1]}}};
}

void reference(const ReferenceContext& c) {
  const std::int64_t sequences = c.shape(kPosition)[0];
  const std::int64_t vocabulary = c.shape(kLogits)[1];
  std::vector<double>& out = c.out(0);
  out.clear();
  for (std::int64_t s = 0; s < sequences; ++s) {
    const auto begin = c.in(kLogits).begin() + (c.shape(kLogits)[0] - sequences + s) * vocabulary;
    std::vector<double> logits(begin, begin + vocabulary);
    const auto sequence = static_cast<std::size_t>(s);
    const LogitRules rules = logit_rules(c.in(kRules), sequence);
    if (rules.filters != 0 && c.in(kPosition)[sequence] >= 0.0) {
      filter_logits(logits, rules, xtc_chance(sampler_state(c.in(kSampler), sequence)));
    }
    out.insert(out.end(), logits.begin(), logits.end());
  }
}

void lower(Lowering& l) {
  const Shape& logits = l.input(kLogits).shape;
  const std::int64_t sequences = l.input(kPosition).shape[0];
  const FilterLogitsPush push{
      .sequences = u32(sequences), .vocabulary = u32(logits[1]), .first = u32((logits[0] - sequences) * logits[1])};
  Dispatch d;
  d.shader = "filter_logits";
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  d.bindings = {l.read(kLogits, View::F32), l.read(kPosition, View::I32), l.read(kSampler, View::I32),
                l.read(kRules, View::I32), l.write()};
  d.push_constants = words_of(push);
  // Top-k, typical-p and top-p make up to 33 passes each, the last index among equals half as many; a few more.
  d.specialization = words_of(FilterLogitsConstants{.lanes = lanes_of_vocabulary(l, 130, push.vocabulary)});
  d.groups = l.spread(push.sequences);
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_filter_logits;
const Op op_filter_logits = {.names = {"filter_logits"}, .infer = infer, .reference = reference, .lower = lower};

}  // namespace heed::ops
