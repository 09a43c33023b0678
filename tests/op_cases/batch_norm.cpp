// cases batch_norm: ranks, odd and no sizes.
#include <cmath>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_batch_norm() {
  std::vector<OpCase> cases;
  for (const std::vector<std::int64_t>& x : std::vector<std::vector<std::int64_t>>{
           {1, 1}, {3, 5}, {2, 3, 7}, {1, 4, 9, 11}, {2, 3, 2, 3, 5}, {0, 3, 2}, {2, 3, 0}, {1, 70, 30, 31}}) {
    GraphBuilder b("batch_norm");
    std::vector<ValueId> inputs = {b.input("x", DType::F32, SymbolicShape(x.begin(), x.end()))};
    for (const char* name : {"scale", "bias", "mean", "variance"}) inputs.push_back(b.weight(name, DType::F32, {x[1]}));
    b.output(b.add("batch_norm", "n", inputs, {{"eps", 1e-2}}), "y");
    OpCase c{to_string(x), std::move(b).finish(), {}, {}};
    for (std::int64_t i = 0; i < x[1]; ++i) c.values["variance"].push_back(0.25 + static_cast<double>(i % 7));
    cases.push_back(c);
    if (x != std::vector<std::int64_t>{1, 4, 9, 11}) continue;
    c.name += ", special values";
    c.values["x"] = special_values_for(x);
    for (double& value : c.values["x"]) {
      if (std::isfinite(value) && std::abs(value) > 1e30) value = 1e30;  // whose multiple float still holds
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace heed::op_cases
