// cases sample_rows: what several sequences choose, what may not come, what must, and how the step state advances.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "ops/sample.h"
#include "ops/search.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/search_options.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Rows {
  std::string name;
  std::int64_t rows = 3;
  std::int64_t vocabulary = 97;
  std::int64_t capacity = 12;
  ops::SearchOptions options = {};
  ops::SamplerState state = {};
  bool greedy = false;
  bool penalty = false;
  bool keep_table = false;
  std::vector<double> position = {};      // empty: 5 of all rows
  std::vector<std::int32_t> forced = {};  // options.forced for each row
  std::vector<double> logits = {};        // empty: of the form h(i) sin(i^2)
};

/// Words repeat, each row in its own way.
double token_of(std::int64_t position, std::int64_t row) { return static_cast<double>((position * (row + 2)) % 5); }

OpCase sample_rows(Rows c) {
  if (!c.logits.empty()) c.vocabulary = static_cast<std::int64_t>(c.logits.size()) / c.rows;
  GraphBuilder b("sample_rows");
  const ValueId logits = b.input("logits", DType::F32, {c.rows, c.vocabulary});
  const auto state = [&](const char* name, SymbolicShape shape, DType dtype = DType::I32) {
    return b.state(name, dtype, std::move(shape));
  };
  b.add_many("sample_rows", "sample_rows",
             {logits, state("tokens", {c.rows}), state("position", {c.rows}), state("parents", {c.rows}),
              state("history", {c.capacity, c.rows}), state("sampler", {c.rows, ops::kSamplerWords}),
              state("table", {c.capacity, c.rows}), state("sums", {c.rows}, DType::F32),
              state("options", {static_cast<std::int64_t>(ops::kFirstForced + c.forced.size())})},
             {{"greedy", std::int64_t{c.greedy}},
              {"penalty", std::int64_t{c.penalty}},
              {"keep_table", std::int64_t{c.keep_table}}},
             0);
  OpCase result;
  result.name = fmt::format("{}, {} x {}", c.name, c.rows, c.vocabulary);
  result.graph = std::move(b).finish();
  auto& values = result.values;
  if (c.logits.empty()) c.logits = distinct_logits(c.rows * c.vocabulary);
  for (std::int64_t r = 0; r < c.rows; ++r) {
    values["sums"].push_back(-1.5 - 0.37 * static_cast<double>(r));
    values["position"].push_back(c.position.empty() ? 5.0 : c.position[static_cast<std::size_t>(r)]);
    values["tokens"].push_back(3.0);
    values["parents"].push_back(0.0);
    c.state.stream = static_cast<std::uint32_t>(r);
    c.state.step = static_cast<std::uint32_t>(7 * r + 1);
    for (const std::int32_t word : std::bit_cast<std::array<std::int32_t, ops::kSamplerWords>>(c.state)) {
      values["sampler"].push_back(word);
    }
  }
  values["logits"] = std::move(c.logits);
  for (std::int64_t p = 0; p < c.capacity; ++p) {
    for (std::int64_t r = 0; r < c.rows; ++r) {
      values["history"].push_back(token_of(p, r));
      values["table"].push_back(static_cast<double>(p * c.rows));
    }
  }
  values["options"] = option_words(c.options, c.forced);
  return result;
}

}  // namespace

std::vector<OpCase> cases_sample_rows() {
  std::vector<OpCase> cases;
  const auto add = [&](Rows c) {
    for (const bool greedy : {true, false}) {
      Rows one = c;
      one.greedy = greedy;
      one.name = (greedy ? "greedy, " : "drawn, ") + c.name;
      cases.push_back(sample_rows(std::move(one)));
    }
  };
  add({.name = "plain", .options = options()});
  for (const std::int64_t vocabulary : {1, 2, 64, 1000, 32003}) {
    add({.name = "vocabulary", .vocabulary = vocabulary, .options = options({0})});
  }
  add({.name = "one row", .rows = 1, .options = options()});
  add({.name = "the table is kept", .rows = 4, .options = options(), .keep_table = true, .position = {0, -1, 3, 11}});
  add({.name = "many rows", .rows = 133, .vocabulary = 33, .options = options()});
  ops::SamplerState repeats;
  repeats.penalty = 1.7f;
  repeats.penalty_window = 1000;
  add({.name = "many rows, penalty",
       .rows = 133,
       .vocabulary = 33,
       .options = options(),
       .state = repeats,
       .penalty = true});
  add({.name = "more rows", .rows = 800, .vocabulary = 7, .options = options()});
  add({.name = "some rows are done", .rows = 5, .options = options(), .position = {5, -1, 0, -1, 3}});
  add({.name = "positions of their own", .rows = 4, .options = options(), .position = {0, 10, 3, 11}});
  add({.name = "the last token", .options = options({2}, 6)});
  add({.name = "no end tokens", .options = options({})});
  // Row 0 and 2 want to end.
  std::vector<double> end(3 * 30, 0.0);
  end[2] = end[62] = 9.0;
  end[37] = 8.0;
  add({.name = "ends", .options = options(), .logits = end});
  add({.name = "ends in several ways", .options = options({1, 2, 7}), .logits = end});
  ops::SearchOptions least = options();
  least.min_tokens = 6;
  add({.name = "not yet", .options = least, .logits = end});
  least.min_tokens = 5;
  add({.name = "from now on", .options = least, .logits = end});
  ops::SearchOptions suppressed = options();
  suppressed.suppressed_count = 3;
  suppressed.suppressed[0] = 2;
  suppressed.suppressed[1] = 7;
  suppressed.suppressed[2] = 7;
  add({.name = "suppressed", .options = suppressed, .logits = end});
  add({.name = "all that there is, suppressed",
       .rows = 2,
       .options = suppressed,
       .logits = {-kInfinity, -kInfinity, 1.0, 0.0, 1.0, 2.0}});
  ops::SearchOptions forced = options();
  forced.forced = 7;
  std::vector<std::int32_t> tokens(21, 4);
  tokens[5] = 11;
  tokens[12] = -1;  // free at position 5
  tokens[19] = 2;   // which ends
  add({.name = "forced", .options = forced, .forced = tokens});
  ops::SearchOptions last = options({2}, 6);
  last.forced_last = 2;
  add({.name = "forced to end", .options = last});
  for (const std::int32_t n : {1, 2, 3, 5, 64}) {
    ops::SearchOptions no_repeat = options();
    no_repeat.no_repeat = n;
    add({.name = fmt::format("no {} tokens twice", n),
         .rows = 5,
         .vocabulary = 6,
         .capacity = 90,
         .options = no_repeat,
         .position = {4, 7, 80, 88, 0}});
  }
  add({.name = "penalty", .vocabulary = 9, .options = options(), .state = repeats, .penalty = true});
  repeats.penalty_window = 2;
  add({.name = "penalty, of two tokens", .vocabulary = 9, .options = options(), .state = repeats, .penalty = true});
  std::vector<double> broken(4 * 8, 1.0);
  broken[3] = kNotANumber;
  broken[9] = kInfinity;
  for (std::size_t i = 16; i < 24; ++i) broken[i] = -kInfinity;
  add({.name = "broken rows", .rows = 4, .options = options(), .logits = broken});
  ops::SearchOptions hidden = options();
  hidden.suppressed_count = 2;
  hidden.suppressed[0] = 3;
  hidden.suppressed[1] = 1;
  add({.name = "broken where nothing may come", .rows = 4, .options = hidden, .logits = broken});
  forced.forced = 6;
  add({.name = "broken rows that are forced",
       .rows = 4,
       .options = forced,
       .forced = std::vector<std::int32_t>(24, 4),
       .logits = broken});
  ops::SamplerState filters;
  filters.seed_low = 99;
  filters.temperature = 0.7f;
  filters.top_k = 20;
  filters.top_p = 0.9f;
  filters.min_p = 0.02f;
  add({.name = "all filters", .rows = 6, .vocabulary = 530, .options = options(), .state = filters});
  add({.name = "many tokens, some rows are done",
       .rows = 5,
       .vocabulary = 2003,
       .options = options(),
       .state = filters,
       .position = {5, -1, 0, -1, 3}});
  add({.name = "many tokens, one of two rows is done",
       .rows = 2,
       .vocabulary = 2003,
       .options = options(),
       .position = {-1, 0}});
  // One logit of each row is broken, or all but a few are masked, so that many shares of a row have none.
  std::vector<double> shares = distinct_logits(6 * 2003);
  const auto fill = [&](std::size_t row, double value) {
    std::fill_n(shares.begin() + static_cast<std::ptrdiff_t>(row * 2003), 2003, value);
  };
  shares[1 * 2003 + 1700] = kNotANumber;
  shares[2 * 2003] = kInfinity;
  fill(3, -kInfinity);
  fill(4, -kInfinity);
  shares[4 * 2003 + 2002] = -2.5;
  shares[4 * 2003 + 1001] = -1.5;
  fill(5, 1.0);
  add({.name = "broken and masked shares", .rows = 6, .options = options(), .logits = shares});
  hidden.suppressed[0] = 1700;
  hidden.suppressed[1] = 0;
  add({.name = "broken shares where nothing may come", .rows = 6, .options = hidden, .logits = shares});
  repeats.penalty_window = 1000;
  add({.name = "penalty of many tokens",
       .rows = 3,
       .vocabulary = 2003,
       .options = options(),
       .state = repeats,
       .penalty = true});
  return cases;
}

}  // namespace heed::op_cases
