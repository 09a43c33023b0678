// cases token_logprobs: log probabilities of a token and of the most probable ones, in rings of positions.
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/op_cases/logit_rules.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/search_options.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Logprobs {
  std::string name;
  std::vector<std::uint32_t> wanted;  // words `logprobs` of the sequences' rules
  std::int64_t vocabulary = 97;
  std::int64_t rows = 0;            // 0: one a sequence
  std::vector<double> place = {};   // empty: 5 and more
  std::vector<double> logits = {};  // empty: of the form h(i) sin(i^2)
};

OpCase logprobs(Logprobs c) {
  constexpr std::int64_t kDepth = 8;
  const auto sequences = static_cast<std::int64_t>(c.wanted.size());
  const std::int64_t rows = c.rows > 0 ? c.rows : sequences;
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / rows;
  GraphBuilder b("token_logprobs");
  const auto state = [&](const char* name, SymbolicShape shape, DType type = DType::I32) {
    return b.state(name, type, std::move(shape));
  };
  b.add_many("token_logprobs", "token_logprobs",
             {b.input("logits", DType::F32, {rows, c.vocabulary}), state("place", {sequences}),
              state("chosen", {sequences}), state("rules", {sequences, ops::kLogitRulesWords}),
              state("values", {kDepth, sequences, ops::kLogprobChoices + 1}, DType::F32),
              state("tokens", {kDepth, sequences, ops::kLogprobChoices})},
             {}, 0);
  OpCase result;
  result.name = fmt::format("{}, {} x {}", c.name, sequences, c.vocabulary);
  result.graph = std::move(b).finish();
  auto& values = result.values;
  values["logits"] = c.logits.empty() ? distinct_logits(rows * c.vocabulary) : std::move(c.logits);
  std::vector<ops::LogitRules> rules;
  for (std::size_t s = 0; s < c.wanted.size(); ++s) {
    rules.emplace_back().logprobs = c.wanted[s];
    values["place"].push_back(c.place.empty() ? 5.0 + static_cast<double>(3 * s) : c.place[s]);
    values["chosen"].push_back(static_cast<double>(s * 7 % static_cast<std::size_t>(c.vocabulary)));
  }
  values["rules"] = state_words(rules);
  values["values"].assign(static_cast<std::size_t>(kDepth * sequences * (ops::kLogprobChoices + 1)), -77.0);
  values["tokens"].assign(static_cast<std::size_t>(kDepth * sequences * ops::kLogprobChoices), -7.0);
  return result;
}

}  // namespace

std::vector<OpCase> cases_token_logprobs() {
  std::vector<OpCase> cases;
  const auto add = [&](Logprobs c) { cases.push_back(logprobs(std::move(c))); };
  add({.name = "some want", .wanted = {0, 1, 2, 6, 21}});
  add({.name = "none", .wanted = {0, 0}});
  add({.name = "more than there are tokens", .wanted = {21, 5, 4}, .vocabulary = 4});
  add({.name = "one token", .wanted = {1, 3}, .vocabulary = 1});
  add({.name = "large vocabulary", .wanted = {21, 6}, .vocabulary = 32003});
  add({.name = "one text, the last of three rows", .wanted = {4}, .rows = 3});
  add({.name = "no place", .wanted = {3, 3, 3, 3}, .place = {0, 7, -1, 8}});
  add({.name = "equals", .wanted = {6}, .logits = {1.0, 2.0, 1.0, 2.0, 2.0, 1.0, -0.0, 0.0}});
  add({.name = "masked", .wanted = {5}, .logits = {-kInfinity, 1.0, -kInfinity, 0.5, -kInfinity, -kInfinity}});
  add({.name = "far apart", .wanted = {5}, .logits = {-3e4, 0.0, 3e4, 10.0, -88.0, 29999.0}});
  add({.name = "many sequences", .wanted = std::vector<std::uint32_t>(133, 4), .vocabulary = 33});
  return cases;
}

}  // namespace heed::op_cases
