// cases group_norm: groups of one element, odd ones, more than a chunk, a mean far from zero.
#include <fmt/format.h>

#include <cmath>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_group_norm() {
  std::vector<OpCase> cases;
  const auto add = [&](const std::vector<std::int64_t>& x, std::int64_t groups, bool scale, bool bias) {
    GraphBuilder b("group_norm");
    std::vector<ValueId> inputs = {b.input("x", DType::F32, SymbolicShape(x.begin(), x.end())), kNoValue, kNoValue};
    if (scale) inputs[1] = b.weight("scale", DType::F32, {x[1]});
    if (bias) inputs[2] = b.weight("bias", DType::F16, {x[1]});
    while (inputs.back() == kNoValue) inputs.pop_back();
    b.output(b.add("group_norm", "n", inputs, {{"groups", groups}, {"eps", 1e-3}}), "y");
    cases.push_back(
        {fmt::format("{} in {} groups{}{}", to_string(x), groups, scale ? ", scale" : "", bias ? ", bias" : ""),
         std::move(b).finish(),
         {},
         {}});
  };
  add({1, 1}, 1, true, true);
  add({3, 4}, 4, true, true);
  add({2, 6, 5}, 3, true, true);
  add({2, 6, 5, 7}, 2, false, false);
  add({2, 6, 5, 7}, 2, true, false);
  add({2, 6, 5, 7}, 2, false, true);
  add({1, 4, 3, 5, 7}, 4, true, true);
  add({0, 4, 3}, 2, true, true);
  add({2, 4, 0}, 2, true, true);
  add({1, 32, 65, 64}, 4, true, true);
  add({1, 3, 300, 257}, 1, true, true);
  {
    add({2, 6, 5, 7}, 3, true, true);
    std::vector<double> x;  // six rows of 70: ordinary, zeros, NaN, infinity, denormals, ordinary
    for (int i = 0; i < 420; ++i) x.push_back(std::sin(i * 0.7));
    for (std::size_t i = 70; i < 140; ++i) x[i] = 0.0;
    x[2 * 70 + 69] = kNotANumber;
    x[3 * 70 + 35] = kInfinity;
    for (std::size_t i = 4 * 70; i < 5 * 70; ++i) x[i] = kLargestDenormal;
    cases.back().values["x"] = std::move(x);
    cases.back().name += ", special values";
  }
  add({1, 7, 4099}, 7, true, true);  // a prime, and one that is more than whole chunks
  {
    add({1, 2, 70, 100}, 1, true, true);
    std::vector<double> x;
    for (int i = 0; i < 14000; ++i) x.push_back(100.0 + std::sin(i * 0.7));
    cases.back().values["x"] = std::move(x);
    cases.back().name += ", far from zero";
  }
  return cases;
}

}  // namespace heed::op_cases
