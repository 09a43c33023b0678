// cases expert_sum: one and several experts, with and without what they are added to, special values, no rows.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase expert_sum(std::int64_t rows, std::int64_t chosen, std::int64_t width, bool residual) {
  GraphBuilder b("expert_sum");
  std::vector<ValueId> inputs = {b.input("x", DType::F32, {rows, chosen, width}),
                                 b.input("weights", DType::F32, {rows, chosen})};
  if (residual) inputs.push_back(b.input("residual", DType::F32, {rows, width}));
  b.output(b.add("expert_sum", "sum", inputs), "y");
  return {fmt::format("{}x{}x{}{}", rows, chosen, width, residual ? ", residual" : ""), std::move(b).finish(), {}, {}};
}

}  // namespace

std::vector<OpCase> cases_expert_sum() {
  std::vector<OpCase> cases;
  for (const bool residual : {false, true}) {
    for (const std::int64_t rows : {0, 1, 3, 67}) cases.push_back(expert_sum(rows, 2, 33, residual));
    cases.push_back(expert_sum(2, 1, 1, residual));
    cases.push_back(expert_sum(2, 9, 130, residual));
    cases.push_back(expert_sum(2, 0, 5, residual));
  }
  OpCase special = expert_sum(1, 1, static_cast<std::int64_t>(special_values().size()), false);
  special.name += ", special values";
  special.values["x"] = special_values();
  special.values["weights"] = {0.5};
  cases.push_back(std::move(special));
  return cases;
}

}  // namespace heed::op_cases
