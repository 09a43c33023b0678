// cases route: one expert and all of them, equal logits, every kind of shares, special values, no rows.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Route {
  std::int64_t rows = 1;
  std::int64_t experts = 8;
  std::int64_t chosen = 2;
  bool normalise = true;
  double scale = 1.0;
  double threshold = -1.0;  // below 0: none
};

OpCase route(const Route& c, std::vector<double> logits = {}) {
  GraphBuilder b("route");
  const ValueId x = b.input("logits", DType::F32, {c.rows, c.experts});
  Attributes attributes = {{"chosen", c.chosen}, {"normalise", std::int64_t{c.normalise}}};
  if (c.scale != 1.0) attributes.set("scale", c.scale);
  if (c.threshold >= 0) attributes.set("threshold", c.threshold);
  const std::vector<ValueId> out = b.add_many("route", "route", {x}, attributes, 2);
  b.output(out[0], "ids");
  b.output(out[1], "weights");
  OpCase result{fmt::format("{} of {}, {} rows{}{}{}{}", c.chosen, c.experts, c.rows, c.normalise ? ", normalised" : "",
                            c.scale == 1.0 ? "" : fmt::format(", scale {}", c.scale),
                            c.threshold < 0 ? "" : fmt::format(", threshold {}", c.threshold),
                            logits.empty() ? "" : ", given values"),
                std::move(b).finish(),
                {},
                {}};
  if (!logits.empty()) result.values["logits"] = std::move(logits);
  return result;
}

}  // namespace

std::vector<OpCase> cases_route() {
  std::vector<OpCase> cases;
  for (const bool normalise : {true, false}) {
    for (const std::int64_t rows : {0, 1, 3, 70}) cases.push_back(route({rows, 8, 2, normalise}));
    for (const std::int64_t chosen : {1, 2, 3, 7}) cases.push_back(route({2, 7, chosen, normalise}));
    cases.push_back(route({3, 1, 1, normalise}));
    cases.push_back(route({5, 128, 8, normalise}));
    cases.push_back(route({2, 300, 300, normalise, 2.5}));
    // Equal ones, the first first; and a zero of either sign, which are equal too.
    cases.push_back(route({3, 5, 3, normalise}, {1, 1, 1, 1, 1, 0, 2, 2, 0, 2, -0.0, 0.0, -1, 0.0, -0.0}));
    cases.push_back(route({2, 4, 2, normalise}, {80, -80, 90, -1e30, -1e30, -2e30, -1e38, -1e38}));
    const double nan = kNotANumber;
    const double inf = kInfinity;
    cases.push_back(route({5, 4, 2, normalise},
                          {1, nan, 2, nan, inf, 1, inf, 0, -inf, 3, -inf, 1, -inf, -inf, -inf, -inf, 1, 2, inf, 3}));
  }
  // Those that are near: none but itself, some, nearly all; logits below zero, equal ones, a zero.
  for (const double threshold : {0.0, 0.02, 0.5, 1.9}) {
    cases.push_back(route({70, 16, 2, false, 1.0, threshold}));
    cases.push_back(route({3, 7, 7, false, 2.5, threshold}));
    cases.push_back(route({5, 6, 3, false, 1.0, threshold},
                          {8,     7.97, 7.9,  7, 5,    1,   -1, -1.01, -1.1, -3, -4,   -9,  2,  2,  2,
                           1.999, 0,    -0.0, 0, -0.0, 0.0, -1, 0,     -2,   90, 89.5, -90, 89, 60, 40}));
    const double nan = kNotANumber;
    const double inf = kInfinity;
    cases.push_back(route({4, 4, 3, false, 1.0, threshold},
                          {1, nan, 2, 1.99, inf, 1, 1.5, 0, -inf, 3, 2.99, 1, -inf, -inf, 1, -inf}));
  }
  cases.push_back(route({0, 8, 2, false, 1.0, 0.02}));
  return cases;
}

}  // namespace heed::op_cases
