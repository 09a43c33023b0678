// op sample: chooses the next token from the last row of logits and advances the step state, all on the device, so that
// a recorded decode step can be resubmitted without the host.
//
// inputs: logits [R, V]; states tokens [T] i32, position [1] i32, history [C] i32, sampler [16] i32
// (ops/sample.h). output: token [1] i32. It goes to tokens[0] and history[position + T]; position grows by T
// (attribute rows = "tokens" names the dimension that says T), the sampler's step by one. A row of logits without a
// finite number, or with NaN or infinity, gives -1; -infinity is a token that is not chosen. attributes: greedy (1: the
// largest logit, the first of equals), penalty (1: the repetition penalty is applied first).
//
// Otherwise, in this order: logits are divided by the temperature; top-k keeps the k largest (of equals the first);
// top-p keeps the fewest of those whose probabilities add up to p (equals of the last one too; Holtzman et al. 2020);
// min-p keeps what is at least min_p as probable as the best; a token is drawn with a number of the generator Philox
// 4x32-10 (Salmon et al. 2011) keyed by the seed, at the counter (step, 0, 0, 0). The repetition penalty (Keskar et al.
// 2019) divides positive and multiplies negative logits of the tokens in the last `penalty_window` of the history.
#include "ops/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

double uniform(const SamplerState& state) {
  const std::array<std::uint32_t, 4> words = philox({state.step, 0, 0, 0}, {state.seed_low, state.seed_high});
  return static_cast<double>(words[0] >> 8) / 16777216.0;
}

std::int64_t sample_token(std::vector<double> logits, const SamplerState& state, bool greedy) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<double>::infinity()) return -1;
    if (std::isfinite(logits[i])) order.push_back(i);
  }
  if (order.empty()) return -1;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  if (greedy) return static_cast<std::int64_t>(order.front());
  if (state.top_k > 0 && state.top_k < order.size()) order.resize(state.top_k);
  const double best = logits[order.front()];
  const auto weight = [&](std::size_t token) { return std::exp((logits[token] - best) / state.temperature); };
  double total = 0.0;
  for (const std::size_t token : order) total += weight(token);
  if (state.top_p < 1.0f) {
    double mass = 0.0;
    std::size_t kept = 0;
    while (kept < order.size()) {
      mass += weight(order[kept++]);
      if (mass >= static_cast<double>(state.top_p) * total) break;
    }
    while (kept < order.size() && logits[order[kept]] == logits[order[kept - 1]]) ++kept;
    order.resize(kept);
  }
  std::erase_if(order, [&](std::size_t token) { return weight(token) < static_cast<double>(state.min_p); });
  std::sort(order.begin(), order.end());
  total = 0.0;
  for (const std::size_t token : order) total += weight(token);
  const double target = uniform(state) * total;
  double mass = 0.0;
  for (const std::size_t token : order) {
    mass += weight(token);
    if (mass > target) return static_cast<std::int64_t>(token);
  }
  return static_cast<std::int64_t>(order.back());
}

namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(5, {"greedy", "penalty", "rows"});
  c.expect_rank(0, 2, "logits");
  if (c.input(0).shape[0] < 1 || c.input(0).shape[1] < 1) c.fail("logits are empty");
  c.expect_rank(1, 1, "tokens");
  c.expect_shape(2, {1}, "position");
  c.expect_rank(3, 1, "history");
  c.expect_shape(4, {kSamplerWords}, "sampler");
  c.expect_floats(0, "logits");
  constexpr std::string_view kStates[] = {"tokens", "position", "history", "sampler"};
  for (std::size_t i = 0; i < std::size(kStates); ++i) c.expect_integers(i + 1, kStates[i]);
  c.dim("rows");
  return {{DType::I32, {1}}};
}

SamplerState state_from(const std::vector<double>& words) {
  std::array<std::uint32_t, kSamplerWords> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i)
    bits[i] = static_cast<std::uint32_t>(static_cast<std::int64_t>(words[i]));
  return std::bit_cast<SamplerState>(bits);
}

void reference(const ReferenceContext& c) {
  const auto vocabulary = static_cast<std::size_t>(c.shape(0)[1]);
  std::vector<double> logits(c.in(0).end() - static_cast<std::ptrdiff_t>(vocabulary), c.in(0).end());
  SamplerState state = state_from(c.in(4));
  const auto rows = static_cast<std::int64_t>(c.in(1).size());
  const std::int64_t end = c.position(2) + rows;
  if (end > c.shape(3)[0]) {
    throw Error(fmt::format("sample '{}': {} tokens do not fit a history of {}", c.node.name, end, c.shape(3)[0]));
  }
  if (c.node.attributes.integer("penalty", 0) != 0) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - state.penalty_window);
    std::vector<std::size_t> seen;
    for (std::int64_t i = begin; i < end; ++i)
      seen.push_back(static_cast<std::size_t>(c.in(3)[static_cast<std::size_t>(i)]));
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const std::size_t token : seen) {
      if (token >= vocabulary) continue;
      logits[token] = logits[token] > 0.0 ? logits[token] / state.penalty : logits[token] * state.penalty;
    }
  }
  const auto token =
      static_cast<double>(sample_token(std::move(logits), state, c.node.attributes.integer("greedy", 0) != 0));
  c.out(0)[0] = token;
  c.inputs[1]->data[0] = token;
  if (end < c.shape(3)[0]) c.inputs[3]->data[static_cast<std::size_t>(end)] = token;
  c.inputs[2]->data[0] = static_cast<double>(end);
  c.inputs[4]->data[kSamplerStepWord] += 1.0;
}

void lower(Lowering& l) {
  const Shape& logits = l.input(0).shape;
  const auto vocabulary = u32(logits[1]);
  const auto skip = u32((logits[0] - 1) * logits[1]);
  const auto rows = u32(l.dims().at(l.attributes().text("rows")));
  const auto context = u32(l.input(3).shape[0]);
  const bool greedy = l.attributes().integer("greedy", 0) != 0;
  // One workgroup does it all, so it is as wide as the device makes worthwhile.
  const bool narrow = l.caps().subgroup_size <= 8;
  const auto wide_enough = [&](std::uint64_t loops) {  // for that many iterations over the lanes together
    const std::uint32_t lanes = l.lanes_within_loops(
        [&](std::uint32_t many) { return loops / many + 64 * (1 + Lowering::reduce_iterations(many)) + 2 * many; });
    return narrow ? lanes : std::max(lanes, l.lanes(256));
  };

  Binding source = l.read(0, View::F32);
  std::uint32_t first = skip;
  if (l.attributes().integer("penalty", 0) != 0) {
    const Binding adjusted = l.scratch("penalised", std::uint64_t{vocabulary} * 4);
    Dispatch copy;
    copy.shader = "rows";
    copy.bindings = {l.read(0, View::I32), adjusted};
    copy.bindings.back().access = Access::Write;
    copy.push_constants = {vocabulary, skip};
    copy.specialization = {l.lanes(64), 0};
    copy.groups = l.spread(ceil_div(vocabulary, copy.specialization[0]));
    l.emit(std::move(copy));
    Dispatch penalise;
    penalise.shader = "sample_penalty";
    penalise.bindings = {l.read(2, View::I32), l.read(3, View::I32), l.read(4, View::I32), l.read(0, View::F32),
                         adjusted};
    penalise.push_constants = {vocabulary, skip, rows, context};
    penalise.specialization = {wide_enough(context)};
    l.emit(std::move(penalise));
    source = adjusted;
    source.access = Access::Read;
    source.view = View::F32;
    first = 0;
  }
  Dispatch d;
  d.shader = greedy ? "sample_greedy" : "sample";
  const bool vectors = vocabulary % 4 == 0;
  source.view = vectors ? View::F32x4 : View::F32;
  d.variant = {vectors ? "4" : "1"};
  if (!greedy) d.variant.push_back(l.caps().subgroup_arithmetic ? "1" : "0");
  d.bindings = {source, l.update(1), l.update(2), l.update(3), l.update(4), l.write()};
  d.push_constants = {vocabulary, first, rows, context};
  // Top-k and top-p make up to 32 passes each; the last index among equals and the draw a few more.
  d.specialization = {wide_enough(std::uint64_t{greedy ? 1u : 100u} * vocabulary)};
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_sample;
const Op op_sample = {{"sample"}, infer, reference, lower, {}, {}, {1, 2, 3, 4}};

}  // namespace heed::ops
