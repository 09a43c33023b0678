// cases filter_logits: top-k, typical-p, top-p, min-p and XTC, each alone and one behind the other.
#include <fmt/format.h>

#include <algorithm>
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

struct Filtered {
  std::string name;
  std::vector<ops::LogitRules> rules = {};  // one a sequence
  std::int64_t vocabulary = 97;
  std::vector<double> position = {};  // empty: 4 of all
  std::vector<double> logits = {};    // empty: of the form h(i) sin(i^2)
  bool one = false;  // the sampler is that of a single sequence, and its logits are the last of two rows
};

OpCase filtered(Filtered c) {
  const auto sequences = static_cast<std::int64_t>(c.rules.size());
  const std::int64_t rows = c.one ? 2 : sequences;
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / rows;
  GraphBuilder b("filter_logits");
  b.output(b.add("filter_logits", "filter_logits",
                 {b.input("logits", DType::F32, {rows, c.vocabulary}), b.state("position", DType::I32, {sequences}),
                  c.one ? b.state("sampler", DType::I32, {ops::kSamplerWords})
                        : b.state("sampler", DType::I32, {sequences, ops::kSamplerWords}),
                  b.state("rules", DType::I32, {sequences, ops::kLogitRulesWords})},
                 {}),
           "filtered");
  OpCase result;
  result.name = fmt::format("{}, {} x {}", c.name, sequences, c.vocabulary);
  result.graph = std::move(b).finish();
  result.values["logits"] = c.logits.empty() ? distinct_logits(rows * c.vocabulary) : std::move(c.logits);
  result.values["position"] = c.position.empty() ? std::vector<double>(c.rules.size(), 4.0) : c.position;
  std::vector<ops::SamplerState> samplers(c.rules.size());
  for (std::size_t s = 0; s < samplers.size(); ++s) {
    samplers[s].seed_low = static_cast<std::uint32_t>(77 + s);
    samplers[s].step = static_cast<std::uint32_t>(3 * s);
  }
  result.values["sampler"] = state_words(samplers);
  result.values["rules"] = state_words(c.rules);
  return result;
}

}  // namespace

std::vector<OpCase> cases_filter_logits() {
  std::vector<OpCase> cases;
  const auto add = [&](Filtered c) { cases.push_back(filtered(std::move(c))); };
  const auto with = [](auto set, std::size_t sequences = 3) {
    ops::LogitRules rules;
    rules.filters = 1;
    set(rules);
    return std::vector<ops::LogitRules>(sequences, rules);
  };
  add({.name = "no filter", .rules = with([](auto& r) { r.filters = 0, r.typical_p = 0.1f; })});
  add({.name = "filters that keep all", .rules = with([](auto&) {})});
  for (const float p : {0.0f, 0.1f, 0.35f, 0.6f, 0.9f, 0.999f}) {
    add({.name = fmt::format("typical-p {}", p), .rules = with([&](auto& r) { r.typical_p = p; })});
    add({.name = fmt::format("typical-p {}, hot", p),
         .rules = with([&](auto& r) { r.typical_p = p, r.temperature = 2.5f; })});
  }
  add({.name = "typical-p of a large vocabulary",
       .rules = with([](auto& r) { r.typical_p = 0.7f, r.temperature = 3.0f; }, 2),
       .vocabulary = 32003});
  add({.name = "typical-p of one token", .rules = with([](auto& r) { r.typical_p = 0.5f; }), .vocabulary = 1});
  // The entropy lies between the two kinds, and the more probable one is further from it.
  add({.name = "typical-p leaves out the best",
       .rules = with([](auto& r) { r.typical_p = 0.3f; }, 1),
       .logits = {4.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, -5.0}});
  add({.name = "typical-p of equals",
       .rules = with([](auto& r) { r.typical_p = 0.5f; }, 1),
       .logits = std::vector<double>(40, 1.5)});
  add({.name = "top-k", .rules = with([](auto& r) { r.top_k = 7; })});
  add({.name = "top-k of equals",
       .rules = with([](auto& r) { r.top_k = 4; }, 1),
       .logits = {1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 1.0}});
  add({.name = "top-p", .rules = with([](auto& r) { r.top_p = 0.8f; })});
  add({.name = "top-p 0", .rules = with([](auto& r) { r.top_p = 0.0f; })});
  add({.name = "min-p", .rules = with([](auto& r) { r.min_p = 0.1f; })});
  add({.name = "min-p 1", .rules = with([](auto& r) { r.min_p = 1.0f; })});
  add({.name = "XTC", .rules = with([](auto& r) { r.xtc_probability = 1.0f, r.xtc_threshold = 0.07f; })});
  add({.name = "XTC, one above the threshold",
       .rules = with([](auto& r) { r.xtc_probability = 1.0f, r.xtc_threshold = 0.3f; }, 1),
       .logits = {0.0, 4.0, 1.0, 2.0}});
  add({.name = "XTC, none above the threshold",
       .rules = with([](auto& r) { r.xtc_probability = 1.0f, r.xtc_threshold = 0.5f; }, 1),
       .logits = {1.0, 1.0, 1.0, 1.0}});
  add({.name = "XTC, least of equals",
       .rules = with([](auto& r) { r.xtc_probability = 1.0f, r.xtc_threshold = 0.15f; }, 1),
       .logits = {2.0, 3.0, 2.0, -1.0, 2.0}});
  add({.name = "XTC at times", .rules = with([](auto& r) { r.xtc_probability = 0.5f, r.xtc_threshold = 0.02f; }, 12)});
  const auto all = [](auto& r) {
    r.temperature = 1.9f, r.top_k = 40, r.typical_p = 0.9f, r.top_p = 0.85f, r.min_p = 0.03f;
    r.xtc_probability = 0.5f, r.xtc_threshold = 0.08f;
  };
  add({.name = "all filters", .rules = with(all, 9)});
  add({.name = "all filters of a large vocabulary", .rules = with(all, 2), .vocabulary = 50021});
  add({.name = "some sequences are done", .rules = with(all, 4), .position = {3, -1, 0, -1}});
  add({.name = "many sequences", .rules = with(all, 133), .vocabulary = 33});
  add({.name = "some filter", .rules = [&] {
         std::vector<ops::LogitRules> rules = with(all, 5);
         rules[1].filters = rules[4].filters = 0;
         return rules;
       }()});
  add({.name = "one text, the last of two rows", .rules = with(all, 1), .one = true});
  std::vector<double> broken = distinct_logits(4 * 50);
  broken[3] = kNotANumber;
  broken[60] = kInfinity;
  std::fill_n(broken.begin() + 100, 50, -kInfinity);
  std::fill_n(broken.begin() + 150, 45, -kInfinity);
  add({.name = "broken and masked rows", .rules = with(all, 4), .logits = broken});
  return cases;
}

}  // namespace heed::op_cases
