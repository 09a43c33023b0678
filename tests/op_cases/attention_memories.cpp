// cases attention_memories: attention over several memories with lengths of their own, rows with positions of their own
// and a table of places, masks for each memory and head, and every score function.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Memories {
  std::int64_t memories = 3, rows = 5, keys = 9, heads = 2, kv_heads = 2, d = 8, dv = 8;
  bool blocks = true;  // q is [memories, rows, ..]; else [memories rows, ..]
  std::vector<double> lengths = {};
  Shape mask = {};
  std::string score = "dot";
  double scale = 0.0;
  bool causal = false, weights = false;
};

OpCase memories(const Memories& c) {
  GraphBuilder b("attention");
  const SymbolicShape q_shape =
      c.blocks ? SymbolicShape{c.memories, c.rows, c.heads * c.d} : SymbolicShape{c.memories * c.rows, c.heads * c.d};
  std::vector<ValueId> inputs = {b.input("q", DType::F32, q_shape),
                                 b.input("k", DType::F32, {c.memories, c.keys, c.kv_heads * c.d}),
                                 b.input("v", DType::F32, {c.memories, c.keys, c.kv_heads * c.dv}),
                                 kNoValue,
                                 kNoValue,
                                 kNoValue,
                                 kNoValue,
                                 kNoValue,
                                 kNoValue,
                                 kNoValue};
  OpCase result;
  if (!c.mask.empty()) {
    inputs[3] = b.input("mask", DType::F32, SymbolicShape(c.mask.begin(), c.mask.end()));
    std::vector<double>& mask = result.values["mask"];
    for (std::int64_t i = 0; i < element_count(c.mask); ++i) {
      mask.push_back(i * 7 % 5 == 0 ? -kInfinity : static_cast<double>(i * 11 % 13) / 5.0 - 1.0);
    }
  }
  if (!c.lengths.empty()) {
    inputs[7] = b.input("lengths", DType::I32, {c.memories});
    result.values["lengths"] = c.lengths;
  }
  if (c.score == "additive") inputs[9] = b.weight("score", DType::F32, {c.heads * c.d});
  Attributes how = {
      {"heads", c.heads}, {"kv_heads", c.kv_heads}, {"score", c.score}, {"causal", std::int64_t{c.causal}}};
  if (c.scale != 0.0) how.set("scale", c.scale);
  const auto outputs = b.add_many("attention", "attend", inputs, how, c.weights ? 2 : 1);
  b.output(outputs[0], "y");
  if (c.weights) b.output(outputs[1], "weights");
  result.name =
      fmt::format("{} memories of {}, {} rows, {}/{} heads of {}/{}, {}{}{}{}{}", c.memories, c.keys, c.rows, c.heads,
                  c.kv_heads, c.d, c.dv, c.score, c.blocks ? ", blocks" : "", c.lengths.empty() ? "" : ", lengths",
                  c.causal ? ", causal" : "", c.weights ? ", weights" : "");
  if (!c.mask.empty()) result.name += ", mask " + to_string(c.mask);
  if (c.scale != 0.0) result.name += fmt::format(", scale {}", c.scale);
  if (!c.lengths.empty()) result.name += fmt::format(" {}", fmt::join(c.lengths, " "));
  result.graph = std::move(b).finish();
  return result;
}

/// Where the keys of rows with positions of their own lie: where these say, where a table says for each row, the same
/// of rows that see no newest key of another, and where a table says for all rows, which are of one sequence.
enum class Places : std::uint8_t { Positions, Table, Apart, Shared };
constexpr Places kPlaces[] = {Places::Positions, Places::Table, Places::Apart, Places::Shared};

struct MemoryRows {
  std::vector<double> position = {};  // of each row
  std::int64_t positions = 12;        // that the table, or the cache, has
  std::int64_t heads = 2, kv_heads = 2, d = 8, dv = 8;
  Places places = Places::Table;
  std::string rotary = "";
  bool projected = false;  // q, k and v are products, which fusion joins, and so is what reads the result
  std::string score = "dot";
  std::int64_t window = 0, mask = 0;  // dimensions of the mask
  bool weights = false;
  DType cache = DType::F32;
};

OpCase rows(const MemoryRows& c) {
  const auto count = static_cast<std::int64_t>(c.position.size());
  const bool of_rows = c.places == Places::Table || c.places == Places::Apart;
  const std::int64_t places = of_rows ? c.positions * count : c.positions;
  GraphBuilder b("attention");
  const ValueId position = b.state("position", DType::I32, {count});
  ValueId q, k, v;
  if (c.projected) {
    const ValueId x = b.input("x", DType::F32, {count, 32});
    const auto product = [&](const std::string& name, std::int64_t n) {
      return b.add("linear", name, {x, b.weight(name + ".weight", DType::F32, {n, 32})});
    };
    q = product("q", c.heads * c.d);
    k = product("k", c.kv_heads * c.d);
    v = product("v", c.kv_heads * c.dv);
  } else {
    q = b.input("q", DType::F32, {count, c.heads * c.d});
    k = b.input("k", DType::F32, {count, c.kv_heads * c.d});
    v = b.input("v", DType::F32, {count, c.kv_heads * c.dv});
  }
  Attributes how = {{"heads", c.heads}, {"kv_heads", c.kv_heads}, {"causal", std::int64_t{1}}, {"score", c.score}};
  if (!c.rotary.empty()) {
    // As fusion leaves it: rotary positions of rows of their own come in no other way.
    how.set("rotary_layout", c.rotary);
    how.set("rotary_base", 10000.0);
  }
  if (c.window > 0) how.set("window", c.window);
  if (c.places == Places::Apart) how.set("apart", std::int64_t{1});
  OpCase result;
  ValueId table = kNoValue;
  if (c.places != Places::Positions) table = b.state("table", DType::I32, {c.positions, of_rows ? count : 1});
  std::vector<ValueId> inputs = {q,
                                 k,
                                 v,
                                 kNoValue,
                                 b.state("cache.k", c.cache, {places, c.kv_heads * c.d}),
                                 b.state("cache.v", c.cache, {places, c.kv_heads * c.dv}),
                                 position,
                                 kNoValue,
                                 table,
                                 c.score == "additive" ? b.weight("score", DType::F32, {c.heads * c.d}) : kNoValue};
  if (c.mask > 0) {
    const SymbolicShape shape =
        c.mask == 2 ? SymbolicShape{count, c.positions} : SymbolicShape{c.heads, count, c.positions};
    inputs[3] = b.input("mask", DType::F32, shape);
    for (std::int64_t i = 0; i < (c.mask == 2 ? 1 : c.heads) * count * c.positions; ++i) {
      result.values["mask"].push_back(static_cast<double>(i * 11 % 13) / 5.0 - 1.0);
    }
  }
  const auto outputs = b.add_many("attention", "attend", inputs, how, c.weights ? 2 : 1);
  ValueId y = outputs[0];
  if (c.projected) y = b.add("linear", "output", {y, b.weight("output.weight", DType::F32, {32, c.heads * c.dv})});
  b.output(y, "y");
  if (c.weights) b.output(outputs[1], "weights");
  result.values["position"] = c.position;
  for (std::int64_t p = 0; c.places == Places::Shared && p < c.positions; ++p) {
    result.values["table"].push_back(static_cast<double>(c.positions - 1 - p));
  }
  if (of_rows) {
    // Entries that came from other rows, but for the newest, which each row has of its own.
    for (std::int64_t p = 0; p < c.positions; ++p) {
      for (std::int64_t r = 0; r < count; ++r) {
        const auto at = [&](std::int64_t row) { return c.position[static_cast<std::size_t>(row)]; };
        const auto here = static_cast<double>(p);
        std::int64_t from = here >= at(r) ? r : (r * 3 + p * 5) % count;
        if (c.places == Places::Apart && at(from) == here) from = r;
        result.values["table"].push_back(static_cast<double>(p * count + from));
      }
    }
  }
  constexpr const char* kNames[] = {"", ", table", ", table, apart", ", table of all rows"};
  result.name =
      fmt::format("{} rows of {} positions, {}/{} heads of {}/{}, {}{}{}{}{}", count, c.positions, c.heads, c.kv_heads,
                  c.d, c.dv, c.score, kNames[static_cast<std::size_t>(c.places)], c.projected ? ", products" : "",
                  c.rotary.empty() ? "" : ", rotary", c.weights ? ", weights" : "");
  if (c.window > 0) result.name += fmt::format(", window {}", c.window);
  result.name += fmt::format(", at {}", fmt::join(c.position, " "));
  if (c.mask > 0) result.name += fmt::format(", mask of {} dimensions", c.mask);
  if (c.cache == DType::F16) result.name += ", f16 cache";
  result.graph = std::move(b).finish();
  return result;
}

/// As below, with caches of f16.
void add_f16_caches_of_rows(std::vector<OpCase>& cases) {
  const auto add = [&](MemoryRows c) {
    c.cache = DType::F16;
    cases.push_back(rows(c));
  };
  for (const Places places : kPlaces) {
    add({.position = {3, 7, 0, 11, -1}, .places = places, .weights = true});
    add({.position = {3, 7, 0, 11, -1}, .d = 12, .dv = 20, .places = places});
    add({.position = {-1, -1, 4, 5, 6, 7}, .places = places, .projected = true});
    add({.position = {-1, 2, 9}, .places = places, .rotary = "half"});
    add({.position = {2, 9, 5, 1, 0, 7, 4, 3, 11, 10},
         .heads = 4,
         .kv_heads = 2,
         .d = 4,
         .dv = 12,
         .places = places,
         .rotary = "interleaved",
         .window = 3});
    add({.position = {2, 9, 5}, .places = places, .mask = 3, .weights = true});
    add({.position = {299, 128, 127, 0, -1}, .positions = 300, .places = places});
    add({.position = {3, 7}, .places = places, .score = "additive"});
  }
  add({.position = {6}, .rotary = "half"});
  std::vector<double> many;
  for (int i = 0; i < 100; ++i) many.push_back(i * 7 % 12);
  add({.position = many, .heads = 1, .kv_heads = 1});
}

}  // namespace

std::vector<OpCase> cases_attention_memories() {
  std::vector<OpCase> cases;
  for (const bool blocks : {false, true}) {
    for (const std::int64_t d : {8, 6}) {
      for (const std::int64_t many : {1, 3, 4, 20}) {
        cases.push_back(memories({.rows = many, .d = d, .dv = d, .blocks = blocks, .weights = many == 3}));
        cases.push_back(
            memories({.rows = many, .d = d, .dv = d, .blocks = blocks, .lengths = {9, 0, 4}, .weights = many != 3}));
      }
    }
    cases.push_back(memories({.memories = 1, .rows = 7, .blocks = blocks}));
    cases.push_back(memories({.memories = 70, .rows = 2, .keys = 3, .blocks = blocks}));
    cases.push_back(memories({.heads = 6, .kv_heads = 2, .d = 4, .dv = 12, .blocks = blocks, .lengths = {1, 2, 8}}));
    cases.push_back(memories({.keys = 300, .blocks = blocks, .lengths = {300, 129, 128}, .weights = true}));
    cases.push_back(memories({.keys = 0, .blocks = blocks, .weights = true}));
    // Lengths that are none are as good as the nearest that is.
    cases.push_back(memories({.blocks = blocks, .lengths = {-1, 100, 5}}));
  }
  cases.push_back(memories({.rows = 0}));
  cases.push_back(memories({.rows = 9, .causal = true, .weights = true}));
  cases.push_back(memories({.rows = 9, .lengths = {9, 5, 1}, .causal = true}));
  for (const Shape& mask :
       {Shape{5, 9}, Shape{2, 5, 9}, Shape{1, 1, 5, 9}, Shape{3, 1, 5, 9}, Shape{1, 2, 5, 9}, Shape{3, 2, 5, 9}}) {
    for (const std::int64_t d : {8, 3}) {
      cases.push_back(memories({.d = d, .dv = d, .mask = mask, .weights = d == 3}));
    }
  }
  cases.push_back(memories({.rows = 4, .blocks = false, .mask = {12, 9}}));
  cases.push_back(memories({.rows = 4, .blocks = false, .mask = {2, 12, 9}, .weights = true}));
  for (const std::string score : {"additive", "cosine", "distance"}) {
    for (const std::int64_t d : {8, 5}) {
      for (const double scale : {0.0, 2.5}) {
        cases.push_back(memories({.rows = 4, .d = d, .dv = 12, .score = score, .scale = scale, .weights = true}));
      }
      cases.push_back(memories({.heads = 4, .kv_heads = 2, .d = d, .dv = d, .lengths = {9, 0, 3}, .score = score}));
      cases.push_back(memories({.memories = 2,
                                .rows = 1,
                                .keys = 260,
                                .heads = 1,
                                .kv_heads = 1,
                                .d = d,
                                .dv = d,
                                .blocks = false,
                                .score = score}));
    }
    OpCase zeros = memories({.memories = 1, .rows = 1, .keys = 3, .heads = 1, .kv_heads = 1, .d = 4, .score = score});
    zeros.name += ", zeros";
    zeros.values["q"].assign(4, 0.0);
    zeros.values["k"].assign(12, 0.0);
    cases.push_back(std::move(zeros));
    OpCase large = memories({.memories = 1, .rows = 2, .keys = 3, .heads = 1, .kv_heads = 1, .d = 4, .score = score});
    large.name += ", large";
    large.values["q"] = {200.0, -300.0, 150.0, 10.0, -90.0, 700.0, 0.5, -1000.0};
    cases.push_back(std::move(large));
  }

  for (const Places places : kPlaces) {
    for (const std::int64_t d : {8, 6}) {
      cases.push_back(rows({.position = {3, 7, 0, 11, -1}, .d = d, .dv = d, .places = places, .weights = d == 6}));
      cases.push_back(rows({.position = {-1, -1, 4, 5, 6, 7}, .d = d, .dv = d, .places = places, .projected = true}));
      cases.push_back(rows({.position = {-1, 2, 9}, .d = d, .dv = d, .places = places, .rotary = "half"}));
    }
    cases.push_back(rows({.position = {-1, -1, -1, -1}, .places = places, .weights = true}));
    cases.push_back(rows({.position = {2, 9, 5, 1, 0, 7, 4, 3, 11, 10},
                          .heads = 4,
                          .kv_heads = 2,
                          .d = 4,
                          .dv = 12,
                          .places = places,
                          .rotary = "interleaved",
                          .window = 3}));
    cases.push_back(rows({.position = {2, 9, 5}, .places = places, .mask = 2}));
    cases.push_back(rows({.position = {2, 9, 5}, .places = places, .mask = 3, .weights = true}));
    cases.push_back(rows({.position = {299, 128, 127, 0, -1}, .positions = 300, .places = places}));
    cases.push_back(rows({.position = {3, 7}, .places = places, .score = "additive"}));
  }
  for (const Places places : {Places::Table, Places::Apart, Places::Shared}) {
    cases.push_back(rows({.position = {6}, .places = places, .rotary = "half"}));
    // More vec4s than the lanes of some subgroups, in more than a tile.
    cases.push_back(rows({.position = {130, 3, -1, 128},
                          .positions = 140,
                          .heads = 4,
                          .d = 40,
                          .dv = 40,
                          .places = places,
                          .rotary = "half",
                          .projected = true}));
  }
  cases.push_back(rows({.position = {0}}));
  // What is one dispatch without a table.
  cases.push_back(rows({.position = {6}, .projected = true}));
  cases.push_back(rows({.position = {-1}}));
  std::vector<double> many;
  for (int i = 0; i < 100; ++i) many.push_back(i * 7 % 12);
  cases.push_back(rows({.position = many, .heads = 1, .kv_heads = 1}));
  // Positions in any order that share a cache, and rows that see nothing; memories of many rows each.
  std::vector<double> any_order;
  for (int i = 0; i < 90; ++i) any_order.push_back(i % 7 == 3 ? -1 : i * 37 % 90);
  for (const Places places : {Places::Positions, Places::Shared}) {
    for (const std::int64_t window : {0, 20}) {
      cases.push_back(rows({.position = any_order, .positions = 90, .heads = 6, .places = places, .window = window}));
    }
    cases.push_back(rows({.position = any_order, .positions = 90, .d = 64, .places = places, .cache = DType::F16}));
  }
  cases.push_back(memories({.rows = 50, .keys = 70, .heads = 4, .kv_heads = 2, .d = 64, .lengths = {70, 0, 33}}));
  cases.push_back(memories({.rows = 50, .keys = 70, .d = 16, .blocks = false, .mask = {2, 150, 70}}));
  add_f16_caches_of_rows(cases);
  return cases;
}

}  // namespace heed::op_cases
