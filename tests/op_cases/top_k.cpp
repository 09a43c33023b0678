// cases top_k: few of many and all of them, equal elements, infinities, every dimension, one output alone.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

enum class Wanted { Both, Values, Indices };

OpCase top_k(const SymbolicShape& shape, std::int64_t k, std::int64_t axis, std::int64_t largest,
             std::vector<double> x = {}, DType type = DType::F32, Wanted wanted = Wanted::Both) {
  GraphBuilder b("top_k");
  const ValueId count = b.integers("k", {k});
  const std::vector<ValueId> outputs =
      b.add_many("top_k", "t", {b.input("x", type, shape), count}, {{"axis", axis}, {"largest", largest}}, 2);
  if (wanted != Wanted::Indices) b.output(outputs[0], "values");
  if (wanted != Wanted::Values) b.output(outputs[1], "indices");
  if (wanted == Wanted::Indices) b.graph().nodes.back().outputs[0] = kNoValue;
  if (wanted == Wanted::Values) b.graph().nodes.back().outputs.pop_back();
  OpCase c{fmt::format("{} {} of {} axis {} largest {} wanted {}", dtype_name(type), k, to_string(shape), axis, largest,
                       static_cast<int>(wanted)),
           std::move(b).finish(),
           {},
           {}};
  if (!x.empty()) c.values["x"] = std::move(x);
  return c;
}

}  // namespace

std::vector<OpCase> cases_top_k() {
  std::vector<OpCase> cases;
  for (const std::int64_t largest : {0, 1}) {
    for (const std::int64_t axis : {0, 1, -1}) cases.push_back(top_k({3, 4, 5}, 3, axis, largest));
    cases.push_back(top_k({7}, 7, 0, largest, {1, kInfinity, -kInfinity, 0, -0.0, kInfinity, 1}));
    cases.push_back(top_k({2, 1000}, 1000, 1, largest));
    cases.push_back(
        top_k({8}, 8, 0, largest, {kInfinity, kNotANumber, 1, -kNotANumber, -kInfinity, kLargest, -0.0, -kLargest}));
    cases.back().name += ", special values";
    std::vector<double> holes(500, 1.0);
    for (std::size_t i = 0; i < holes.size(); ++i)
      holes[i] = i % 11 == 3 ? kNotANumber : static_cast<double>(i * 37 % 101);
    cases.push_back(top_k({500}, 90, 0, largest, holes));
    cases.back().name += ", NaN here and there";
    cases.push_back(top_k({1033, 2}, 40, 0, largest));
    std::vector<double> steps;
    for (int i = 0; i < 333; ++i) steps.push_back(i * 7 % 5 - 2);
    cases.push_back(top_k({333}, 333, 0, largest, steps));
    cases.push_back(top_k({333}, 100, 0, largest, steps, DType::I32));
    cases.push_back(top_k({4}, 2, 0, largest, {-128, 127, 0, -128}, DType::I8));
  }
  cases.push_back(top_k({1}, 1, 0, 1));
  cases.push_back(top_k({5}, 0, 0, 1));
  cases.push_back(top_k({std::int64_t{0}}, 0, 0, 1));
  cases.push_back(top_k({std::int64_t{0}, 3}, 2, 1, 1));
  cases.push_back(top_k({32}, 32, 0, 1));
  cases.push_back(top_k({33}, 33, 0, 1));
  cases.push_back(top_k({50000}, 5, 0, 1));
  cases.push_back(top_k({3, 50}, 4, 1, 1, {}, DType::F32, Wanted::Values));
  cases.push_back(top_k({3, 50}, 4, 1, 1, {}, DType::F32, Wanted::Indices));
  return cases;
}

}  // namespace heed::op_cases
