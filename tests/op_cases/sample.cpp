// cases sample: the greedy choice, draws under every filter, the repetition penalty, and how the step state advances.
#include "ops/sample.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Sample {
  std::string name;
  ops::SamplerState state = {};
  bool greedy = false;
  bool penalty = false;
  std::int64_t rows = 1;    // of the logits
  std::int64_t tokens = 1;  // that the step has consumed
  std::int64_t context = 16;
  double position = 3;
  std::int64_t vocabulary = 97;
  std::vector<double> logits = {};  // empty: of the form 4 sin(i)
};

OpCase sample(Sample c) {
  GraphBuilder b("sample");
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / c.rows;
  const ValueId logits = b.input("logits", DType::F32, {c.rows, c.vocabulary});
  const ValueId tokens = b.state("tokens", DType::I32, {"tokens"});
  const ValueId position = b.state("position", DType::I32, {1});
  const ValueId history = b.state("history", DType::I32, {"context"});
  const ValueId sampler = b.state("sampler", DType::I32, {ops::kSamplerWords});
  b.output(b.add("sample", "sample", {logits, tokens, position, history, sampler},
                 {{"greedy", std::int64_t{c.greedy}}, {"penalty", std::int64_t{c.penalty}}, {"rows", "tokens"}}),
           "token");
  OpCase result{std::move(c.name), std::move(b).finish(), {{"tokens", c.tokens}, {"context", c.context}}, {}};
  if (c.logits.empty()) {
    // Far enough apart that float and double agree on their order and on every threshold.
    for (std::int64_t i = 0; i < c.rows * c.vocabulary; ++i) c.logits.push_back(4.0 * std::sin(static_cast<double>(i)));
  }
  result.values["logits"] = std::move(c.logits);
  result.values["position"] = {c.position};
  for (std::int64_t i = 0; i < c.tokens; ++i) result.values["tokens"].push_back(static_cast<double>(i + 5));
  for (std::int64_t i = 0; i < c.context; ++i) {
    result.values["history"].push_back(static_cast<double>(i * 3 % c.vocabulary));
  }
  for (const std::uint32_t word : std::bit_cast<std::array<std::uint32_t, ops::kSamplerWords>>(c.state)) {
    result.values["sampler"].push_back(static_cast<double>(static_cast<std::int32_t>(word)));
  }
  return result;
}

}  // namespace

std::vector<OpCase> cases_sample() {
  std::vector<OpCase> cases;
  cases.push_back(sample({.name = "greedy", .greedy = true}));
  cases.push_back(sample({.name = "greedy, last of 3 rows, 5 tokens", .greedy = true, .rows = 3, .tokens = 5}));
  cases.push_back(sample({.name = "greedy, equals", .greedy = true, .logits = {1.0, 3.0, 2.0, 3.0, 3.0}}));
  cases.push_back(sample({.name = "greedy, one", .greedy = true, .logits = {-5.0}}));
  cases.push_back(
      sample({.name = "greedy, masked", .greedy = true, .logits = {-kInfinity, -3e38, -kInfinity, -kInfinity}}));
  cases.push_back(sample({.name = "greedy, NaN among numbers", .greedy = true, .logits = {1.0, std::nan(""), 2.0}}));
  cases.push_back(sample({.name = "greedy, infinity", .greedy = true, .logits = {1.0, 0.0, 2.0, kInfinity}}));
  cases.push_back(
      sample({.name = "greedy, nothing finite", .greedy = true, .logits = {-kInfinity, std::nan(""), kInfinity}}));
  const double nan = kNotANumber;
  for (const bool greedy : {true, false}) {
    const std::string kind = greedy ? "greedy" : "drawn";
    const auto add = [&](const std::string& name, std::vector<double> logits) {
      cases.push_back(sample({.name = kind + ", " + name, .greedy = greedy, .logits = std::move(logits)}));
    };
    add("NaN alone", {nan, nan, nan});
    add("NaN with a sign", {1.0, -nan, 2.0});
    add("an infinity among numbers", {1.0, 2.0, kInfinity, 3.0});
    add("denormals", {kLeastDenormal, kLargestDenormal, -kLargestDenormal, -1.0, -200.0});
    add("the largest and the least", {-kLargest, kLargest, 0.0, -kInfinity});
    std::vector<double> many(3001, -1.0);
    many[2999] = nan;
    add("NaN near the end of many", std::move(many));
  }
  cases.push_back(sample({.name = "greedy, zeros of both signs", .greedy = true, .logits = {-0.0, 0.0, -1.0, 0.0}}));
  cases.push_back(sample({.name = "greedy, large vocabulary", .greedy = true, .vocabulary = 70001}));
  cases.push_back(sample({.name = "greedy, full context", .greedy = true, .position = 15}));
  cases.push_back(sample({.name = "nothing finite", .logits = {-kInfinity, -kInfinity}}));
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    ops::SamplerState state;
    state.seed_low = seed * 0x9e3779b9u;
    state.seed_high = seed * 77;
    state.step = seed * 1000003u;
    const auto add = [&](const std::string& name, const ops::SamplerState& with, bool penalty = false) {
      cases.push_back(sample({.name = fmt::format("{}, seed {}", name, seed), .state = with, .penalty = penalty}));
    };
    add("all", state);
    ops::SamplerState cold = state;
    cold.temperature = 0.3f;
    add("temperature 0.3", cold);
    ops::SamplerState top_k = state;
    top_k.top_k = seed;
    add(fmt::format("top-k {}", seed), top_k);
    ops::SamplerState top_p = state;
    top_p.top_p = 0.15f * static_cast<float>(seed);
    add("top-p", top_p);
    ops::SamplerState min_p = state;
    min_p.min_p = 0.1f * static_cast<float>(seed);
    add("min-p", min_p);
    ops::SamplerState every = state;
    every.temperature = 1.7f;
    every.top_k = 40;
    every.top_p = 0.9f;
    every.min_p = 0.02f;
    every.penalty = 1.3f;
    every.penalty_window = 4;
    add("everything", every, true);
  }
  ops::SamplerState state;
  state.penalty = 1.5f;
  cases.push_back(sample({.name = "greedy, penalty", .state = state, .greedy = true, .penalty = true}));
  cases.push_back(sample({.name = "greedy, penalty, last of 2 rows",
                          .state = state,
                          .greedy = true,
                          .penalty = true,
                          .rows = 2,
                          .tokens = 2,
                          .position = 9}));
  state.penalty_window = 0;
  cases.push_back(sample({.name = "greedy, penalty of no window", .state = state, .greedy = true, .penalty = true}));
  state = {};
  state.top_k = 2;
  cases.push_back(sample({.name = "top-k among equals", .state = state, .logits = {0.0, 1.0, 1.0, 1.0, 1.0}}));
  state = {};
  state.top_p = 0.0f;
  cases.push_back(sample({.name = "top-p 0", .state = state, .logits = {0.0, 1.0, 2.0, 1.5}}));
  state = {};
  state.top_k = 1000;
  cases.push_back(sample({.name = "top-k beyond the vocabulary", .state = state}));
  // Many passes over many logits: some drivers stop a loop that runs long.
  state = {};
  state.seed_low = 12345;
  state.top_k = 5;
  cases.push_back(sample({.name = "top-k 5 of a large vocabulary", .state = state, .vocabulary = 70001}));
  state.top_k = 0;
  state.top_p = 0.01f;
  cases.push_back(sample({.name = "top-p 0.01 of a large vocabulary", .state = state, .vocabulary = 70001}));
  cases.push_back(sample({.name = "one token", .logits = {3.0}}));
  cases.push_back(sample({.name = "masked", .logits = {-kInfinity, 1.0, -kInfinity, 1.5, -kInfinity}}));
  cases.push_back(sample({.name = "NaN among numbers", .logits = {1.0, 2.0, std::nan("")}}));
  cases.push_back(sample({.name = "infinity", .logits = {kInfinity, 1.0, 2.0, 0.5}}));
  return cases;
}

}  // namespace heed::op_cases
