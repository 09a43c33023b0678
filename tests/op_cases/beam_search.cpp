// cases beam_search: how beams grow, end and are done, what may not come, and how the step state advances.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "ops/search.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/search_options.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Search {
  std::string name;
  std::int64_t sentences = 2;
  std::int64_t beams = 3;
  std::int64_t vocabulary = 41;
  std::int64_t capacity = 8;
  std::int64_t made = 3;  // tokens that each beam has
  ops::SearchOptions options = {};
  std::vector<std::int32_t> forced = {};          // options.forced for each sentence
  std::vector<double> logits = {};                // empty: of the form h(i) sin(i^2)
  std::vector<double> sums = {};                  // empty: falling from beam to beam
  std::vector<std::pair<double, int>> done = {};  // hypotheses of the first sentence: score, tokens
  std::vector<std::int32_t> states = {};          // of the sentences; empty: all run
  std::int64_t ends = 1;
};

/// Tokens 0 to 9 in turns, so that words repeat.
double token_of(std::int64_t place) { return static_cast<double>(place * 7 % 10); }

OpCase search(Search c) {
  const std::int64_t rows = c.sentences * c.beams;
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / rows;
  GraphBuilder b("search");
  const ValueId logits = b.input("logits", DType::F32, {rows, c.vocabulary});
  const auto state = [&](const char* name, SymbolicShape shape, DType dtype = DType::I32) {
    return b.state(name, dtype, std::move(shape));
  };
  b.add_many("beam_search", "search",
             {logits, state("tokens", {rows}), state("position", {rows}), state("parents", {rows}),
              state("table", {c.capacity, rows}), state("sums", {rows}, DType::F32),
              state("records", {c.capacity * rows, 2}), state("hypotheses", {c.sentences, c.beams, 3}),
              state("scores", {c.sentences, c.beams}, DType::F32), state("progress", {c.sentences, 2}),
              state("options", {static_cast<std::int64_t>(ops::kFirstForced + c.forced.size())})},
             {{"beams", c.beams}, {"ends", c.ends}}, 0);
  OpCase result;
  result.name = fmt::format("{}, {} x {} beams of {}", c.name, c.sentences, c.beams, c.vocabulary);
  result.graph = std::move(b).finish();
  auto& values = result.values;
  if (c.logits.empty()) c.logits = distinct_logits(rows * c.vocabulary);
  values["logits"] = std::move(c.logits);
  for (std::int64_t r = 0; r < rows; ++r) {
    values["tokens"].push_back(token_of((c.made) * rows + r));
    values["position"].push_back(static_cast<double>(c.made));
    values["parents"].push_back(static_cast<double>(r));
    if (c.sums.empty()) values["sums"].push_back(-1.5 - 0.37 * static_cast<double>(r % c.beams));
  }
  for (std::int64_t p = 0; p < c.capacity; ++p) {
    for (std::int64_t r = 0; r < rows; ++r) {
      // Beams have come from one another before.
      values["table"].push_back(static_cast<double>(p * rows + r / c.beams * c.beams + (r * (p + 1) + p) % c.beams));
    }
  }
  if (!c.sums.empty()) values["sums"] = c.sums;
  for (std::int64_t place = 0; place < c.capacity * rows; ++place) {
    values["records"].push_back(token_of(place));
    values["records"].push_back(static_cast<double>(place - rows));
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool there = at < c.done.size();
    values["scores"].push_back(there ? c.done[at].first : -77.0);
    for (const double word :
         {there ? 5.0 : 0.0, there ? 1.0 : 0.0, there ? static_cast<double>(c.done[at].second) : 0.0}) {
      values["hypotheses"].push_back(word);
    }
  }
  for (std::int64_t s = 0; s < c.sentences; ++s) {
    values["progress"].push_back(c.states.empty() ? 0.0 : c.states[static_cast<std::size_t>(s)]);
    values["progress"].push_back(static_cast<double>(c.made));
  }
  values["options"] = option_words(c.options, c.forced);
  return result;
}

/// Logits in which some tokens of some rows are set to what is said.
std::vector<double> logits_with(std::int64_t rows, std::int64_t vocabulary,
                                std::initializer_list<std::tuple<int, int, double>> set) {
  std::vector<double> logits;
  for (std::int64_t i = 0; i < rows * vocabulary; ++i)
    logits.push_back(3.0 * std::sin(static_cast<double>(i * i % 9973)));
  for (const auto& [row, token, value] : set) logits[static_cast<std::size_t>(row * vocabulary + token)] = value;
  return logits;
}

}  // namespace

std::vector<OpCase> cases_beam_search() {
  std::vector<OpCase> cases;
  const auto add = [&](Search c) { cases.push_back(search(std::move(c))); };
  add({.name = "plain", .options = options()});
  for (const std::int64_t beams : {1, 2, 4, 5, 8, 16, 32}) {
    add({.name = "beams", .sentences = 3, .beams = beams, .vocabulary = 530, .options = options()});
  }
  for (const std::int64_t vocabulary : {1, 2, 3, 7, 64, 1000, 32003}) {
    add({.name = "vocabulary", .vocabulary = vocabulary, .options = options({0})});
  }
  add({.name = "many sentences", .sentences = 70, .beams = 2, .options = options()});
  add({.name = "more sentences", .sentences = 800, .beams = 1, .vocabulary = 7, .options = options()});
  const double none = static_cast<double>(ops::kNoScore);
  add({.name = "the first step", .made = 0, .options = options(), .sums = {0.0, none, none, 0.0, none, none}});
  add({.name = "the last position", .capacity = 5, .made = 4, .options = options()});
  add({.name = "the last token", .made = 6, .options = options({2}, 7)});
  // End tokens among the best, of the first beam, of all, and as the only thing that comes.
  add({.name = "ends", .options = options(), .logits = logits_with(6, 30, {{0, 2, 5.0}, {2, 2, 4.0}, {4, 2, 6.0}})});
  add({.name = "all end",
       .options = options(),
       .logits = logits_with(6, 30, {{0, 2, 9.0}, {1, 2, 9.0}, {2, 2, 9.0}, {3, 2, 9.0}, {4, 2, 9.0}, {5, 2, 9.0}})});
  add({.name = "two ends",
       .options = options({2, 5}),
       .logits = logits_with(6, 30, {{0, 2, 5.0}, {0, 5, 4.5}, {1, 5, 6.0}}),
       .ends = 2});
  add({.name = "no end token", .options = options({})});
  for (const ops::EarlyStop early : {ops::EarlyStop::IfNoBetter, ops::EarlyStop::AtOnce, ops::EarlyStop::Never}) {
    for (const float penalty : {0.0f, 1.0f, -0.5f, 2.0f}) {
      for (const double score : {-0.01, -9.0}) {
        ops::SearchOptions o = options();
        o.early_stop = static_cast<std::int32_t>(early);
        o.length_penalty = penalty;
        add({.name = fmt::format("stop {} penalty {} from {}", o.early_stop, penalty, score),
             .options = o,
             .logits = logits_with(6, 30, {{0, 2, 6.0}}),
             .done = {{score, 2}, {score - 0.1, 3}, {score - 0.2, 3}}});
      }
    }
  }
  add({.name = "a place among hypotheses",
       .options = options(),
       .logits = logits_with(6, 30, {{0, 2, 6.0}, {1, 2, 6.0}}),
       .done = {{-0.1, 2}, {-3.0, 3}}});
  {
    ops::SearchOptions o = options();
    for (const std::int32_t token : {1, 4, 7, 12}) o.suppressed[o.suppressed_count++] = token;
    add({.name = "suppressed", .options = o});
    for (const bool renormalise : {false, true}) {
      ops::SearchOptions again = o;
      again.repetition_penalty = 1.7f;
      again.renormalise = renormalise ? 1 : 0;
      add({.name = fmt::format("repetition penalty, renormalise {}", renormalise), .vocabulary = 14, .options = again});
      add({.name = fmt::format("repetition penalty, renormalise {}", renormalise),
           .sentences = 4,
           .beams = 1,
           .vocabulary = 14,
           .options = again});
    }
    o.renormalise = 1;
    add({.name = "suppressed, renormalised", .options = o});
    o.no_repeat = 2;
    add({.name = "suppressed and repeated, renormalised", .vocabulary = 14, .capacity = 12, .made = 9, .options = o});
    o = options();
    for (std::int32_t token = 0; token < 5; ++token) o.suppressed[o.suppressed_count++] = token;
    o.renormalise = 1;
    add({.name = "all suppressed, renormalised", .vocabulary = 5, .options = o});
    o.renormalise = 0;
    add({.name = "all suppressed", .vocabulary = 5, .options = o});
    o = options();
    for (const std::int32_t token : {1, 4, 7, 12}) o.suppressed[o.suppressed_count++] = token;
    o = options();
    o.min_tokens = 4;
    add({.name = "too short to end", .options = o, .logits = logits_with(6, 30, {{0, 2, 9.0}, {4, 2, 9.0}})});
    o.min_tokens = 3;
    add({.name = "long enough to end", .options = o, .logits = logits_with(6, 30, {{0, 2, 9.0}, {4, 2, 9.0}})});
    for (const std::int32_t n : {1, 2, 3}) {
      o = options();
      o.no_repeat = n;
      add({.name = fmt::format("no {} tokens twice", n), .vocabulary = 13, .capacity = 12, .made = 9, .options = o});
    }
    o = options();
    o.forced = 5;
    add({.name = "forced", .options = o, .forced = {1, 2, 3, 4, 5, 6, 7, 8, -1, 9}});
    o.forced_last = 2;
    o.max_tokens = 4;
    add({.name = "forced last", .options = o, .forced = {1, 2, 3, -1, 5, 6, 7, 8, -1, 9}});
  }
  // Of equals the lower beam, then the lower token.
  add({.name = "equals",
       .options = options({9}),
       .logits = std::vector<double>(6 * 20, 0.5),
       .sums = std::vector<double>(6, -1.0)});
  add({.name = "equals far apart",
       .sentences = 1,
       .beams = 2,
       .options = options({9}),
       .logits = logits_with(2, 70001, {{0, 65537, 9.0}, {0, 69999, 9.0}, {0, 66000, 9.0}, {1, 3, 6.0}})});
  add({.name = "states", .sentences = 3, .options = options(), .states = {1, 0, -1}});
  add({.name = "NaN", .options = options(), .logits = logits_with(6, 30, {{4, 7, kNotANumber}})});
  add({.name = "infinity", .options = options(), .logits = logits_with(6, 30, {{1, 29, kInfinity}})});
  add({.name = "tokens of -infinity",
       .options = options(),
       .logits = logits_with(6, 30, {{1, 29, -kInfinity}, {0, 0, -kInfinity}})});
  add({.name = "nothing finite", .options = options(), .logits = std::vector<double>(6 * 5, -kInfinity)});
  // Masks as PyTorch's finfo.min: such tokens never come either.
  const double masked = -static_cast<double>(std::numeric_limits<float>::max());
  std::vector<double> most_masked(6 * 31, masked);
  for (std::size_t row = 0; row < 6; ++row) {
    most_masked[row * 31 + 4 * row] = 1.5;
    most_masked[row * 31 + 30] = static_cast<double>(row);
  }
  add({.name = "most masked", .options = options(), .logits = most_masked});
  add({.name = "all masked", .options = options(), .logits = std::vector<double>(6 * 5, masked)});
  std::vector<double> rising;
  for (int i = 0; i < 6 * 9000; ++i) rising.push_back(i % 9000 * 2e-3 + 1e-4 * (i / 9000));
  add({.name = "each better than the one before", .options = options(), .logits = rising});
  // Lanes of 8, each with a row of better and better ones of another length, then nothing: drivers that let them run
  // ahead wait for each in turn. The best token is the last lane's last.
  for (const std::int64_t beams : {1, 4}) {
    constexpr int kStaggered = 100001;
    std::vector<double> staggered;
    for (int i = 0; i < beams * kStaggered; ++i) {
      const int token = i % kStaggered;
      const int better = 2 + token % 8 * (kStaggered / 8 / 10);
      staggered.push_back(token / 8 < better ? 1e-4 * token : -5.0);
      if (token == kStaggered / 8 * 8 - 1) staggered.back() = 30.0;
    }
    add({.name = "lanes that part", .sentences = 1, .beams = beams, .options = options(), .logits = staggered});
  }
  // Around the least that comes, with a penalty that carries others beyond.
  {
    ops::SearchOptions o = options();
    o.repetition_penalty = 5.0f;
    const double least = static_cast<double>(-1.0e38f);
    for (const std::int64_t beams : {1, 3}) {
      add({.name = "almost masked",
           .sentences = 1,
           .beams = beams,
           .options = o,
           .logits = std::vector<double>(static_cast<std::size_t>(beams) * 20, least)});
      std::vector<double> low = logits_with(beams, 20, {{0, 3, -9e37}, {0, 7, -9e37}, {0, 11, least}});
      add({.name = "penalised beyond", .sentences = 1, .beams = beams, .options = o, .logits = low});
    }
  }
  {
    ops::SearchOptions o = options();
    o.repetition_penalty = 1.7f;
    o.no_repeat = 3;
    o.max_tokens = 1000;
    add({.name = "long, with a penalty", .vocabulary = 3000, .capacity = 700, .made = 600, .options = o});
  }
  add({.name = "NaN in a row without a beam",
       .options = options(),
       .logits = logits_with(6, 30, {{2, 7, kNotANumber}}),
       .sums = {-1.0, -2.0, none, -1.0, -2.0, -3.0}});
  return cases;
}

}  // namespace heed::op_cases
