// cases adjust_logits: masks, biases, penalties and what may not repeat, each alone and together, of one and many
// texts.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
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

struct Adjusted {
  std::string name;
  std::vector<ops::LogitRules> rules = {};  // one a sequence
  std::vector<std::pair<std::int32_t, float>> biases = {};
  std::vector<std::int32_t> breakers = {};
  bool mask = false;
  std::int64_t vocabulary = 97;
  std::int64_t capacity = 60;
  std::int64_t alphabet = 5;          // different tokens that texts are made of
  std::vector<double> position = {};  // empty: 40 of all
  std::vector<double> logits = {};    // empty: of the form h(i) sin(i^2)
  std::int64_t tokens = 0;            // of the only sequence that a step consumes; 0: many sequences
};

OpCase adjusted(Adjusted c) {
  const auto sequences = static_cast<std::int64_t>(c.rules.size());
  const bool one = c.tokens > 0;
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / sequences;
  const std::int64_t rows = one ? 2 : sequences;  // the first of two is not looked at
  const std::int64_t list_words =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(2 * c.biases.size() + c.breakers.size()) + 3);
  GraphBuilder b("adjust_logits");
  const auto state = [&](const char* name, SymbolicShape shape) { return b.state(name, DType::I32, std::move(shape)); };
  std::vector<ValueId> inputs = {b.input("logits", DType::F32, {rows, c.vocabulary}),
                                 state("tokens", {one ? c.tokens : sequences}),
                                 state("position", {sequences}),
                                 one ? state("history", {c.capacity}) : state("history", {c.capacity, sequences}),
                                 state("rules", {sequences, ops::kLogitRulesWords}),
                                 state("list", {sequences, list_words})};
  if (c.mask) inputs.push_back(state("mask", {sequences, ops::mask_words(c.vocabulary)}));
  b.output(b.add("adjust_logits", "adjust_logits", inputs, {}), "adjusted");
  OpCase result;
  result.name = fmt::format("{}, {} x {}", c.name, sequences, c.vocabulary);
  result.graph = std::move(b).finish();
  auto& values = result.values;
  if (c.logits.empty()) c.logits = distinct_logits(rows * c.vocabulary);
  values["logits"] = std::move(c.logits);
  values["tokens"].assign(static_cast<std::size_t>(one ? c.tokens : sequences), 1.0);
  values["position"] = c.position.empty() ? std::vector<double>(c.rules.size(), 40.0) : c.position;
  // Words repeat, each text in its own way.
  for (std::int64_t p = 0; p < c.capacity; ++p) {
    for (std::int64_t s = 0; s < sequences; ++s) {
      values["history"].push_back(static_cast<double>((p * (s + 2) + p / 11) % c.alphabet));
    }
  }
  for (ops::LogitRules& rules : c.rules) {
    rules.adjusts = 1;
    rules.masked = c.mask && &rules != &c.rules.back() ? 1 : 0;
    if (c.mask && c.rules.size() == 1) rules.masked = 1;
    rules.biases = static_cast<std::uint32_t>(c.biases.size());
    rules.breakers = static_cast<std::uint32_t>(c.breakers.size());
    for (const auto& [token, bias] : c.biases) {
      values["list"].push_back(token);
      values["list"].push_back(std::bit_cast<std::int32_t>(bias));
    }
    for (const std::int32_t token : c.breakers) values["list"].push_back(token);
    for (int i = 0; i < 3; ++i) values["list"].push_back(1.0);  // not looked at
    for (std::int64_t word = 0; c.mask && word < ops::mask_words(c.vocabulary); ++word) {
      values["mask"].push_back(static_cast<std::int32_t>(0x9e3779b9u * static_cast<std::uint32_t>(word * 5 + 3)));
    }
  }
  values["rules"] = state_words(c.rules);
  return result;
}

}  // namespace

std::vector<OpCase> cases_adjust_logits() {
  std::vector<OpCase> cases;
  const auto add = [&](Adjusted c) {
    if (c.rules.empty()) c.rules.resize(3);
    cases.push_back(adjusted(std::move(c)));
  };
  const auto with = [](auto set, std::size_t sequences = 3) {
    ops::LogitRules rules;
    set(rules);
    return std::vector<ops::LogitRules>(sequences, rules);
  };
  const auto presence = [](auto& r) { r.presence = 0.7f; };
  const auto frequency = [](auto& r) { r.frequency = 0.3f; };
  const auto both = [](auto& r) { r.presence = -0.5f, r.frequency = 1.25f, r.window = 17; };
  const auto dry = [](auto& r) { r.dry_multiplier = 0.8f; };
  const auto all = [](auto& r) {
    r.repetition = 1.3f, r.presence = 0.4f, r.frequency = 0.2f, r.window = 30;
    r.dry_multiplier = 0.5f, r.dry_allowed = 3, r.dry_window = 35, r.no_repeat = 5;
  };
  const std::vector<std::pair<std::int32_t, float>> biases = {
      {3, 100.0f}, {96, -1.5f}, {0, -100.0f}, {50, -static_cast<float>(kInfinity)}, {2, 0.25f}, {400, 1.0f}};
  add({.name = "nothing"});
  add({.name = "presence", .rules = with(presence)});
  add({.name = "frequency", .rules = with(frequency)});
  add({.name = "presence and frequency in a window", .rules = with(both)});
  add({.name = "repetition", .rules = with([](auto& r) { r.repetition = 1.7f; })});
  add({.name = "repetition below 1", .rules = with([](auto& r) { r.repetition = 0.7f; })});
  add({.name = "no window", .rules = with([](auto& r) { r.frequency = 2.0f, r.window = 0; })});
  add({.name = "a window beyond the text", .rules = with([](auto& r) { r.frequency = 2.0f, r.window = 0xffffffffu; })});
  add({.name = "frequency, one token all the time", .rules = with(frequency), .alphabet = 1});
  add({.name = "frequency, a large vocabulary", .rules = with(frequency), .vocabulary = 32003, .alphabet = 31});
  add({.name = "tokens outside the vocabulary", .rules = with(all), .vocabulary = 3});
  add({.name = "biases", .biases = biases});
  add({.name = "many biases",
       .biases =
           [] {
             std::vector<std::pair<std::int32_t, float>> many;
             for (int i = 0; i < 700; ++i) many.emplace_back(i, static_cast<float>(i % 23) - 11.0f);
             return many;
           }(),
       .vocabulary = 1000});
  for (const std::uint32_t n : {1u, 2u, 3u, 5u, 64u}) {
    add({.name = fmt::format("no {} tokens twice", n),
         .rules = with([&](auto& r) { r.no_repeat = n; }, 5),
         .vocabulary = 6,
         .capacity = 90,
         .position = {4, 7, 80, 89, 0}});
  }
  add({.name = "dry", .rules = with(dry)});
  add({.name = "dry, a breaker", .rules = with(dry), .breakers = {3}});
  add({.name = "dry, breakers that are not there", .rules = with(dry), .breakers = {70, 71, 99999}});
  add({.name = "dry, a window", .rules = with([](auto& r) { r.dry_multiplier = 2.0f, r.dry_window = 13; })});
  add({.name = "dry, one token all the time",
       .rules = with([](auto& r) { r.dry_multiplier = 1.0f, r.dry_base = 1.02f, r.dry_allowed = 1; }),
       .capacity = 300,
       .alphabet = 1,
       .position = {299, 63, 64}});
  add({.name = "dry grows beyond all logits",
       .rules = with([](auto& r) { r.dry_multiplier = 5.0f, r.dry_base = 1000.0f; }),
       .alphabet = 1});
  add({.name = "a mask", .mask = true});
  add({.name = "a mask of a vocabulary of whole words", .mask = true, .vocabulary = 64});
  add({.name = "a mask, some sequences are done", .rules = with(all, 4), .mask = true, .position = {5, -1, 0, 59}});
  add({.name = "a mask of a large vocabulary", .mask = true, .vocabulary = 32003});
  add({.name = "all together", .rules = with(all, 6), .biases = biases, .breakers = {4}, .mask = true});
  add({.name = "each its own", .rules = [&] {
         std::vector<ops::LogitRules> rules(5);
         presence(rules[0]);
         frequency(rules[1]);
         dry(rules[2]);
         all(rules[4]);
         return rules;
       }()});
  add({.name = "many sequences", .rules = with(all, 130), .vocabulary = 33});
  add({.name = "one text", .rules = with(all, 1), .biases = biases, .mask = true, .tokens = 1});
  add({.name = "one text, a prompt", .rules = with(all, 1), .position = {9.0}, .tokens = 16});
  add({.name = "one text, a full context", .rules = with(both, 1), .position = {52.0}, .tokens = 8});
  std::vector<double> broken = distinct_logits(4 * 40);
  broken[3] = kNotANumber;
  broken[42] = kInfinity;
  broken[81] = -kInfinity;
  broken[123] = kNotANumber;
  add({.name = "NaN and infinity are not hidden",
       .rules = with([](auto& r) { r.no_repeat = 1, r.presence = 1.0f; }, 4),
       .biases = {{3, -static_cast<float>(kInfinity)}, {2, -static_cast<float>(kInfinity)}},
       .mask = true,
       .logits = broken});
  return cases;
}

}  // namespace heed::op_cases
