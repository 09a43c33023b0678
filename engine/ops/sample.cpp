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
// 4x32-10 (Salmon et al. 2011) keyed by the seed, at the counter (step, stream, 0, 0). The repetition penalty (Keskar
// et al. 2019) divides positive and multiplies negative logits of the tokens in the last `penalty_window` of the
// history.
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
#include "ops/sample_kernels.h"
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

namespace {

double number_of(const SamplerState& state, std::uint32_t number) {
  const std::array<std::uint32_t, 4> words =
      philox({state.step, state.stream, number, 0}, {state.seed_low, state.seed_high});
  return static_cast<double>(words[0] >> 8) / 16777216.0;
}

}  // namespace

double uniform(const SamplerState& state) { return number_of(state, 0); }
double xtc_chance(const SamplerState& state) { return number_of(state, 1); }

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

SamplerState sampler_state(const std::vector<double>& words, std::size_t sequence) {
  std::array<std::uint32_t, kSamplerWords> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint32_t>(static_cast<std::int64_t>(words[sequence * bits.size() + i]));
  }
  return std::bit_cast<SamplerState>(bits);
}

void penalise(std::vector<double>& logits, std::vector<std::size_t> seen, float penalty) {
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const std::size_t token : seen) {
    if (token >= logits.size()) continue;
    logits[token] = logits[token] > 0.0 ? logits[token] / penalty : logits[token] * penalty;
  }
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

void reference(const ReferenceContext& c) {
  const auto vocabulary = static_cast<std::size_t>(c.shape(0)[1]);
  std::vector<double> logits(c.in(0).end() - static_cast<std::ptrdiff_t>(vocabulary), c.in(0).end());
  const SamplerState state = sampler_state(c.in(4), 0);
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
    penalise(logits, std::move(seen), state.penalty);
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
  const bool greedy = l.attributes().integer("greedy", 0) != 0;
  const SamplePush push{.sequences = 1,
                        .vocabulary = u32(logits[1]),
                        .first = u32((logits[0] - 1) * logits[1]),
                        .rows = u32(l.dims().at(l.attributes().text("rows"))),
                        .context = u32(l.input(3).shape[0])};
  const SampledInputs inputs = {.position = 2, .history = 3, .sampler = 4};
  SampledLogits source{l.read(0, View::F32), push};
  if (l.attributes().integer("penalty", 0) != 0) {
    source = copy_of_logits(l, push);
    emit_penalty(l, source, push, inputs);
  }
  emit_choice(l, source, inputs, greedy, false, {l.update(1), l.update(2), l.update(3), l.update(4), l.write()});
}

}  // namespace

extern const Op op_sample;
const Op op_sample = {.names = {"sample"},
                      .infer = infer,
                      .reference = reference,
                      .lower = lower,
                      .updates = {1, 2, 3, 4},
                      .tuning = sample_tuning()};

}  // namespace heed::ops
