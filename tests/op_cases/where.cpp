// cases where: choices of reals and integers, broadcasting of every kind.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase where(const Shape& condition, const SymbolicShape& a, const SymbolicShape& b, DType type) {
  GraphBuilder builder("where");
  const std::vector<ValueId> inputs = {
      builder.input("c", DType::Bool, SymbolicShape(condition.begin(), condition.end())), builder.input("a", type, a),
      builder.input("b", type, b)};
  builder.output(builder.add("where", "w", inputs), "y");
  std::vector<double> choices;
  for (std::int64_t i = 0; i < element_count(condition); ++i) choices.push_back(i % 3 == 1 || i % 7 == 2 ? 1.0 : 0.0);
  return {fmt::format("{} {} {} {}", dtype_name(type), to_string(condition), to_string(a), to_string(b)),
          std::move(builder).finish(),
          {},
          {{"c", choices}}};
}

}  // namespace

std::vector<OpCase> cases_where() {
  const std::int64_t none = 0;
  std::vector<OpCase> cases;
  cases.push_back(where({7}, {7}, {7}, DType::F32));
  cases.back().values["a"] = {1, -kInfinity, kInfinity, 3e38, 0, -1, 2};
  cases.push_back(where({46}, {46}, {46}, DType::F32));
  cases.back().name += ", special values";
  cases.back().values["a"] = cases.back().values["b"] = special_values_for({46});
  cases.push_back(where({}, {}, {}, DType::F32));
  cases.push_back(where({}, {5}, {1}, DType::F32));
  cases.push_back(where({1000}, {1}, {}, DType::F32));
  cases.push_back(where({3, 1, 5}, {4, 1}, {2, 1, 1, 1}, DType::F32));
  cases.push_back(where({2, 1, 2, 1}, {2, 1, 2, 1, 2, 1, 2}, {3, 1, 3, 1, 1, 1, 1, 1}, DType::F32));  // eight loops
  cases.push_back(where({none, 3}, {3}, {1}, DType::F32));
  cases.push_back(where({257, 129}, {129}, {257, 1}, DType::F32));
  cases.push_back(
      where({}, {4194305}, {}, DType::F32));  // more workgroups than one dimension of the smallest device has
  for (const DType type : {DType::I32, DType::I64, DType::U8, DType::Bool}) {
    cases.push_back(where({2, 3}, {3}, {2, 1}, type));
    cases.back().values["a"] = {1, 0, 1};
    cases.back().values["b"] = {0, 1};
  }
  return cases;
}

}  // namespace heed::op_cases
