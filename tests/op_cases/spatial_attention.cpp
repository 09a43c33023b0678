// cases spatial_attention: places of pictures that look at each other, with weights given out either way, a gain, a
// residual.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

struct Pictures {
  std::int64_t batch = 1, width = 8, queries = 16, keys = 16, channels = 12;
  bool by_query = false, weights = true, gain = true, residual = true;
  double scale = 1.0;
};

OpCase attention_of(const Pictures& p) {
  GraphBuilder b("spatial_attention");
  std::vector<ValueId> inputs = {
      b.input("q", DType::F32, {p.batch, p.width, p.queries}), b.input("k", DType::F32, {p.batch, p.width, p.keys}),
      b.input("v", DType::F32, {p.batch, p.channels, p.keys}), p.gain ? b.weight("gain", DType::F32, {1}) : kNoValue,
      p.residual ? b.input("residual", DType::F32, {p.batch, p.channels, 1, p.queries}) : kNoValue};
  Attributes attributes = {{"scale", p.scale}};
  if (p.by_query) attributes.set("by_query", std::int64_t{1});
  const std::vector<ValueId> made = b.add_many("spatial_attention", "a", inputs, attributes, p.weights ? 2 : 1);
  b.output(made[0], "y");
  if (p.weights) b.output(made[1], "weights");
  return {fmt::format("{} x {} of {} at {}, {} channels{}{}{}{}", p.batch, p.queries, p.width, p.keys, p.channels,
                      p.by_query ? ", by query" : "", p.weights ? ", weights" : "", p.gain ? ", gain" : "",
                      p.residual ? ", residual" : ""),
          std::move(b).finish(),
          {},
          {}};
}

}  // namespace

std::vector<OpCase> cases_spatial_attention() {
  std::vector<OpCase> cases;
  cases.push_back(attention_of({}));
  cases.push_back(attention_of({.by_query = true, .scale = 0.125}));
  cases.push_back(attention_of({.batch = 2, .width = 3, .queries = 37, .keys = 20, .channels = 5, .weights = false}));
  cases.push_back(attention_of({.batch = 2, .width = 3, .queries = 37, .keys = 20, .channels = 5, .by_query = true}));
  cases.push_back(attention_of({.width = 1, .queries = 1, .keys = 4, .channels = 1, .gain = false, .residual = false}));
  cases.push_back(attention_of({.width = 8, .queries = 256, .keys = 256, .channels = 64}));
  cases.push_back(attention_of({.width = 5, .queries = 530, .keys = 140, .channels = 70, .gain = false}));
  cases.push_back(attention_of({.width = 4, .queries = 3, .keys = 1000, .channels = 300, .residual = false}));
  cases.push_back(attention_of({.batch = 0, .queries = 4, .keys = 4}));
  return cases;
}

}  // namespace heed::op_cases
