// cases relative_bias: one direction and both, from 0, from a position, and positions of their own.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

struct Bias {
  std::int64_t heads = 3, buckets = 32, rows = 9, length = 40;
  bool bidirectional = false;
  std::int64_t max_distance = 128;
  std::vector<double> position = {};
};

OpCase bias(const Bias& c) {
  GraphBuilder b("bias");
  const ValueId table = b.weight("table", DType::F32, {c.buckets, c.heads});
  std::vector<ValueId> inputs = {table};
  if (!c.position.empty()) {
    inputs.push_back(b.state("position", DType::I32, {static_cast<std::int64_t>(c.position.size())}));
  }
  b.output(b.add("relative_bias", "bias", inputs,
                 {{"rows", "tokens"},
                  {"length", "context"},
                  {"bidirectional", std::int64_t{c.bidirectional}},
                  {"max_distance", c.max_distance}}),
           "y");
  OpCase result;
  result.name = fmt::format("{} heads, {} buckets to {}, {}x{}{}, {} positions", c.heads, c.buckets, c.max_distance,
                            c.rows, c.length, c.bidirectional ? ", both directions" : "", c.position.size());
  result.graph = std::move(b).finish();
  result.dims = {{"tokens", c.rows}, {"context", c.length}};
  if (!c.position.empty()) result.values["position"] = c.position;
  return result;
}

}  // namespace

std::vector<OpCase> cases_relative_bias() {
  std::vector<OpCase> cases;
  for (const bool both : {false, true}) {
    cases.push_back(bias({.bidirectional = both}));
    cases.push_back(bias({.rows = 300, .length = 300, .bidirectional = both}));
    cases.push_back(bias({.heads = 1, .buckets = 4, .rows = 5, .length = 5, .bidirectional = both, .max_distance = 3}));
    cases.push_back(bias({.heads = 2, .buckets = 8, .bidirectional = both, .max_distance = 20, .position = {25.0}}));
    cases.push_back(bias({.rows = 4, .bidirectional = both, .position = {0.0, 39.0, -1.0, 7.0}}));
    cases.push_back(bias({.rows = 1, .length = 1, .bidirectional = both, .position = {1000.0}}));
    cases.push_back(bias({.rows = 0, .bidirectional = both}));
  }
  return cases;
}

}  // namespace heed::op_cases
