// cases attention_scales: queries, keys and values of very different sizes, each of which kernels that multiply in f16
// have to scale by itself: none may overflow, vanish beside another, or reach a row that does not see it.
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

struct Scales {
  std::string name;
  double (*q)(std::int64_t row);  // by which numbers of about one are multiplied
  double (*k)(std::int64_t key);
  double (*v)(std::int64_t key);
  std::optional<DType> cache = std::nullopt;
  std::int64_t rows = 40;
  std::int64_t before = 0;  // keys that the cache holds
};

constexpr std::int64_t kHeads = 4, kKvHeads = 2, kD = 16, kDv = 20;

double number(std::int64_t row, std::int64_t column, std::int64_t what) {
  // Odd, so never 0: beside nothing of a row that is larger by 2^20 and more, what the smaller one loses would be seen.
  return static_cast<double>(((row * 131 + column * 37 + what * 17) % 257 - 128) * 2 + 1) / 256.0;
}

std::vector<double> rows_of(std::int64_t first, std::int64_t count, std::int64_t width, std::int64_t what,
                            double (*scale)(std::int64_t)) {
  std::vector<double> values;
  for (std::int64_t r = first; r < first + count; ++r) {
    for (std::int64_t c = 0; c < width; ++c) values.push_back(number(r, c, what) * scale(r));
  }
  return values;
}

OpCase scaled(const Scales& c) {
  GraphBuilder b("attention");
  const ValueId q = b.input("q", DType::F32, {c.rows, kHeads * kD});
  const ValueId k = b.input("k", DType::F32, {c.rows, kKvHeads * kD});
  const ValueId v = b.input("v", DType::F32, {c.rows, kKvHeads * kDv});
  std::vector<ValueId> inputs = {q, k, v};
  OpCase result;
  result.values["q"] = rows_of(c.before, c.rows, kHeads * kD, 1, c.q);
  result.values["k"] = rows_of(c.before, c.rows, kKvHeads * kD, 2, c.k);
  result.values["v"] = rows_of(c.before, c.rows, kKvHeads * kDv, 3, c.v);
  if (c.cache) {
    const std::int64_t room = c.before + c.rows + 5;
    inputs.push_back(kNoValue);
    inputs.push_back(b.state("cache.k", *c.cache, {room, kKvHeads * kD}));
    inputs.push_back(b.state("cache.v", *c.cache, {room, kKvHeads * kDv}));
    inputs.push_back(b.state("position", DType::I32, {1}));
    result.values["position"] = {static_cast<double>(c.before)};
    for (const auto& [name, width, what, scale] :
         {std::tuple{"cache.k", kKvHeads * kD, 2, c.k}, std::tuple{"cache.v", kKvHeads * kDv, 3, c.v}}) {
      std::vector<double>& values = result.values[name];
      values = rows_of(0, c.before, width, what, scale);
      values.resize(static_cast<std::size_t>(room * width), std::nan(""));
    }
  }
  b.output(
      b.add("attention", "attend", inputs, {{"heads", kHeads}, {"kv_heads", kKvHeads}, {"causal", std::int64_t{1}}}),
      "y");
  result.name = c.name;
  if (c.cache) result.name += fmt::format(", {} cache at {}", dtype_name(*c.cache), c.before);
  result.graph = std::move(b).finish();
  return result;
}

/// Values of 1e12 whose weights are those of scores of -30, beside one of about 1 that has nearly all of the weight.
OpCase large_values_of_little_weight() {
  constexpr std::int64_t kRows = 24, kWidth = 8;
  GraphBuilder b("attention");
  OpCase result;
  const auto input = [&](const char* name, double (*at)(std::int64_t, std::int64_t)) {
    std::vector<double>& values = result.values[name];
    for (std::int64_t i = 0; i < kRows * kWidth; ++i) values.push_back(at(i / kWidth, i % kWidth));
    return b.input(name, DType::F32, {kRows, kWidth});
  };
  const ValueId q = input("q", [](std::int64_t, std::int64_t e) { return e == 0 ? 1.0 : 0.0; });
  const ValueId k = input("k", [](std::int64_t key, std::int64_t e) {
    return e != 0 ? number(key, e, 2) : key % 20 == 3 ? 0.0 : -30.0;
  });
  const ValueId v = input(
      "v", [](std::int64_t key, std::int64_t e) { return (key % 20 == 3 ? 1.0 : 1e12) * (1.5 + number(key, e, 3)); });
  b.output(b.add("attention", "attend", {q, k, v}, {{"heads", std::int64_t{1}}, {"scale", 1.0}}), "y");
  result.name = "large values of little weight";
  result.graph = std::move(b).finish();
  return result;
}

/// Scores that rise a little from key to key, and values of which only the first keys' are not 0. What is summed is
/// scaled down a hundred times and more, each time by less than two: no kernel's units may run away from the sums.
OpCase rising_scores() {
  constexpr std::int64_t kRows = 8, kKeys = 7200, kWidth = 8;
  GraphBuilder b("attention");
  OpCase result;
  const auto input = [&](const char* name, std::int64_t rows, double (*at)(std::int64_t, std::int64_t)) {
    std::vector<double>& values = result.values[name];
    for (std::int64_t i = 0; i < rows * kWidth; ++i) values.push_back(at(i / kWidth, i % kWidth));
    return b.input(name, DType::F32, {rows, kWidth});
  };
  const ValueId q = input("q", kRows, [](std::int64_t row, std::int64_t e) {
    return e == 0 ? 1.0 + static_cast<double>(row) / 64.0 : 0.0;
  });
  const ValueId k = input("k", kKeys, [](std::int64_t key, std::int64_t e) {
    return e == 0 ? static_cast<double>(key) / 8192.0 : number(key, e, 2);
  });
  const ValueId v = input(
      "v", kKeys, [](std::int64_t key, std::int64_t e) { return key < 64 ? 0x1p60 * (1.5 + number(key, e, 3)) : 0.0; });
  b.output(b.add("attention", "attend", {q, k, v}, {{"heads", std::int64_t{1}}, {"scale", 1.0}}), "y");
  result.name = "ever larger scores";
  result.graph = std::move(b).finish();
  return result;
}

}  // namespace

std::vector<OpCase> cases_attention_scales() {
  const auto one = [](std::int64_t) { return 1.0; };
  std::vector<OpCase> cases;
  for (const std::optional<DType> cache : {std::optional<DType>(), std::optional(DType::F32)}) {
    for (const std::int64_t before : {0, 90}) {
      if (!cache && before > 0) continue;
      const auto add = [&](Scales c) {
        c.cache = cache;
        c.before = before;
        cases.push_back(scaled(c));
      };
      // Each row's products are of the same size, whatever the sizes of q and k.
      add({.name = "tiny queries, huge keys",
           .q = [](std::int64_t t) { return std::ldexp(1.0, -60 + static_cast<int>(t % 3)); },
           .k = [](std::int64_t key) { return std::ldexp(1.0, 60 + static_cast<int>(key % 2)); },
           .v = one});
      add({.name = "huge queries, tiny keys",
           .q = [](std::int64_t) { return 0x1p100; },
           .k = [](std::int64_t) { return 0x1p-100; },
           .v = [](std::int64_t) { return 0x1p120; }});
      // Sizes come and go; early rows see none of the largest.
      add({.name = "values of many sizes", .q = one, .k = one, .v = [](std::int64_t key) {
             return std::ldexp(1.0, static_cast<int>(key * 7 % 9 - 4) * 20);
           }});
      add({.name = "ever larger values", .q = one, .k = one, .v = [](std::int64_t key) {
             return std::ldexp(1.0, static_cast<int>(key) - 80);
           }});
      add({.name = "rows of zeros",
           .q = [](std::int64_t t) { return t % 4 == 1 ? 0.0 : 1.0; },
           .k = [](std::int64_t key) { return key % 3 == 0 ? 0.0 : 1.0; },
           .v = [](std::int64_t key) { return key % 2 == 0 ? 0.0 : 1.0; }});
    }
  }
  cases.push_back(scaled({.name = "sizes of f16",
                          .q = [](std::int64_t t) { return std::ldexp(1.0, 10 + static_cast<int>(t % 3)); },
                          .k = [](std::int64_t key) { return std::ldexp(1.0, -10 - static_cast<int>(key % 2)); },
                          .v = [](std::int64_t key) { return std::ldexp(1.0, static_cast<int>(key * 5 % 29) - 14); },
                          .cache = DType::F16,
                          .before = 90}));
  cases.push_back(large_values_of_little_weight());
  cases.push_back(rising_scores());
  return cases;
}

}  // namespace heed::op_cases
