// cases triangle: diagonals inside and far outside of matrices of every form.
#include <fmt/format.h>

#include <optional>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_triangle() {
  std::vector<OpCase> cases;
  const auto triangle = [&](const SymbolicShape& shape, std::optional<std::int64_t> k, std::int64_t upper,
                            DType type = DType::F32) {
    GraphBuilder b("triangle");
    std::vector<ValueId> inputs = {b.input("x", type, shape)};
    if (k) {
      inputs.push_back(b.add("constant", "k", {},
                             {{"dtype", "i64"}, {"shape", Shape{}}, {"integers", std::vector<std::int64_t>{*k}}}));
    }
    b.output(b.add("triangle", "t", inputs, {{"upper", upper}}), "y");
    cases.push_back(
        {fmt::format("{} {} {} upper {}", dtype_name(type), to_string(shape), k ? std::to_string(*k) : "", upper),
         std::move(b).finish(),
         {},
         {}});
  };
  for (const std::int64_t upper : {0, 1}) {
    triangle({4, 5}, {}, upper);
    for (const std::int64_t k : {-7, -3, -1, 1, 4, 5, 9}) triangle({4, 5}, k, upper);
    triangle({5, 4}, std::int64_t{1} << 40, upper);
    triangle({5, 4}, -(std::int64_t{1} << 40), upper);
    triangle({2, 3, 4, 4}, 1, upper);
    triangle({1, 1}, 0, upper);
    triangle({3, std::int64_t{0}}, 0, upper);
    triangle({100, 77}, 11, upper);
    triangle({9, 23}, 1, upper);
    cases.back().name += ", special values";
    cases.back().values["x"] = special_values_for({9, 23});
    triangle({3, 3}, 0, upper, DType::I64);
    cases.back().values["x"] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  }
  return cases;
}

}  // namespace heed::op_cases
