// cases sample: the greedy choice, draws under every filter, the repetition penalty, and how the step state advances.
#include "ops/sample.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/search_options.h"
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

/// A row of so many logits, all alike but for those that are given.
std::vector<double> row_of(std::size_t count, double value, const std::map<std::size_t, double>& others) {
  std::vector<double> logits(count, value);
  for (const auto& [i, other] : others) logits[i] = other;
  return logits;
}

/// Logits of which many workgroups have a share each, with what matters in one share or in several.
void add_shared_vocabularies(std::vector<OpCase>& cases) {
  constexpr double kNan = kNotANumber;
  constexpr double kNever = -kInfinity;
  for (const bool greedy : {true, false}) {
    const std::string kind = greedy ? "greedy" : "drawn";
    const auto add = [&](const std::string& name, std::vector<double> logits, ops::SamplerState state = {}) {
      cases.push_back(
          sample({.name = kind + ", " + name, .state = state, .greedy = greedy, .logits = std::move(logits)}));
    };
    ops::SamplerState one;
    one.top_k = 1;
    add("equals far apart", row_of(4001, -1.0, {{1999, 3.0}, {2000, 3.0}, {3999, 3.0}}), one);
    add("equals next to each other", row_of(4004, -1.0, {{3, 3.0}, {4, 3.0}, {5, 3.0}, {6, 3.0}}), one);
    add("all of many alike", row_of(2050, -7.25, {}), one);
    add("the first of many", row_of(4001, -1.0, {{0, 2.0}}), one);
    add("the last of many", row_of(4001, -1.0, {{4000, 2.0}}), one);
    add("zeros of both signs, far apart", row_of(3001, -1.0, {{5, -0.0}, {2000, 0.0}}), one);
    add("zeros of both signs, 0 first", row_of(3001, -1.0, {{5, 0.0}, {2000, -0.0}}), one);
    add("NaN in a middle share", row_of(4001, 0.5, {{1717, kNan}, {3000, 2.0}}));
    add("NaN first of many", row_of(4001, 0.5, {{0, kNan}}));
    add("infinity last of many", row_of(4001, 0.5, {{4000, kInfinity}}));
    add("infinity and NaN in masked shares", row_of(2001, kNever, {{100, kInfinity}, {1900, kNan}}));
    add("shares that are masked", row_of(4001, kNever, {{777, 1.0}, {2500, 1.25}, {2501, -3.0}}));
    add("the least among masked ones", row_of(2001, kNever, {{1234, -kLargest}}));
    add("the largest and the least of many", row_of(2001, 0.0, {{7, kLargest}, {1300, -kLargest}, {1301, kNever}}));
    add("all of many masked", row_of(4001, kNever, {}));
  }
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    ops::SamplerState state;
    state.seed_low = seed * 0x2545f491u;
    state.step = seed;
    const auto add = [&](const std::string& name, std::vector<double> logits, const ops::SamplerState& with) {
      cases.push_back(
          sample({.name = fmt::format("{}, seed {}", name, seed), .state = with, .logits = std::move(logits)}));
    };
    ops::SamplerState top_k = state;
    // The best, and the first six of twelve equals.
    std::map<std::size_t, double> equals = {{1000, 3.0}};
    for (std::size_t i = 0; i < 12; ++i) equals[50 + 157 * i] = 2.5;
    top_k.top_k = 7;
    add("top-k 7 among equals in several shares", row_of(2003, -5.0, equals), top_k);
    top_k.top_p = 0.9f;
    add("top-k 7 among equals in several shares, then top-p", row_of(2003, -5.0, equals), top_k);
    top_k.top_p = 1.0f;
    top_k.top_k = 1500;
    add("top-k 1500 of 3000 alike", row_of(3000, 0.75, {}), top_k);
    ops::SamplerState top_p = state;
    top_p.top_p = 0.3f;
    add("top-p whose last has equals in every share", row_of(3001, -8.0, equals), top_p);
    add("all alike, top-p", row_of(3001, -8.0, {}), top_p);
    // Neighbours among the floats, so that thresholds are found in their last bits alone.
    std::vector<double> neighbours;
    for (std::size_t i = 0; i < 5000; ++i) {
      neighbours.push_back(std::ldexp(static_cast<double>(0x800000 + i * 7919 % 5000), -23));
    }
    top_k.top_k = 100;
    add("top-k 100 of neighbours", neighbours, top_k);
    add("top-p of neighbours", neighbours, top_p);
    top_k.top_p = 0.5f;
    add("top-k 100 of neighbours, then top-p", neighbours, top_k);
    for (double& logit : neighbours) logit *= -1.0;
    add("top-k 100 of neighbours below zero, then top-p", neighbours, top_k);
    // As many as there are finite ones, one fewer, one more.
    std::map<std::size_t, double> finite;
    for (std::size_t i = 0; i < 10; ++i) finite[90 + 201 * i] = 0.1 * static_cast<double>(i * 7 % 10);
    for (const std::uint32_t k : {9u, 10u, 11u}) {
      top_k.top_p = 1.0f;
      top_k.top_k = k;
      add(fmt::format("top-k {} of 10 that are not masked", k), row_of(2002, kNever, finite), top_k);
    }
    // One token, and as much mass again in a tail of small weights.
    ops::SamplerState tail = state;
    tail.top_p = 0.9f;
    add("a long tail", row_of(30001, -10.3, {{20000, 0.0}}), tail);
    tail.top_p = 1.0f;
    tail.temperature = 3.0f;
    tail.min_p = 0.05f;
    add("min-p of many", distinct_logits(4001), tail);
    ops::SamplerState every = state;
    every.temperature = 0.8f;
    every.top_k = 40;
    every.top_p = 0.95f;
    every.min_p = 0.001f;
    add("all filters of a large vocabulary", distinct_logits(32003), every);
    every.temperature = 50.0f;
    every.top_k = 5000;
    add("all filters, hot", distinct_logits(8001), every);
    every.temperature = 0.01f;
    add("all filters, cold", distinct_logits(8001), every);
  }
  ops::SamplerState none;
  none.min_p = 1.0f;
  cases.push_back(
      sample({.name = "min-p 1 leaves the best of many", .state = none, .logits = row_of(2001, 0.0, {{1500, 1.0}})}));
  none.top_p = 0.0f;
  cases.push_back(sample({.name = "top-p 0 of many", .state = none, .logits = row_of(2001, 0.0, {{1500, 1.0}})}));
  none.min_p = 0.0f;
  none.top_k = 3;
  cases.push_back(
      sample({.name = "top-k, top-p 0 of many", .state = none, .logits = row_of(2001, 0.0, {{1500, 1.0}})}));
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
  add_shared_vocabularies(cases);
  return cases;
}

}  // namespace heed::op_cases
