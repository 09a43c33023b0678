// cases store: all rows of a state, the first of them, and none, of either type and every word.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase store(DType dtype, std::int64_t rows, std::int64_t state_rows, std::int64_t width) {
  GraphBuilder b("store");
  const ValueId state = b.state("state", dtype, {state_rows, width});
  const ValueId x = b.input("x", dtype, {rows, width});
  b.add_many("store", "store", {state, x}, {}, 0);
  OpCase result{
      fmt::format("{} {} of {} rows of {}", dtype_name(dtype), rows, state_rows, width), std::move(b).finish(), {}, {}};
  for (std::int64_t i = 0; dtype == DType::I32 && i < rows * width; ++i) {
    result.values["x"].push_back(static_cast<double>(i * 3 - 7));
  }
  return result;
}

}  // namespace

std::vector<OpCase> cases_store() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::F32, DType::I32}) {
    cases.push_back(store(dtype, 1, 1, 1));
    cases.push_back(store(dtype, 3, 3, 5));
    cases.push_back(store(dtype, 3, 70, 33));
    cases.push_back(store(dtype, 0, 4, 3));
  }
  cases.push_back(store(DType::F32, 23, 40, 7));
  cases.back().name += ", special values";
  cases.back().values["x"] = special_values_for({23, 7});
  {
    // What was stored is read by the next node, and what was there before by the one in front.
    GraphBuilder b("around");
    const ValueId state = b.state("state", DType::F32, {6, 4});
    const ValueId before = b.add("neg", "before", {state});
    b.add_many("store", "store", {state, b.add("exp", "new", {b.input("x", DType::F32, {2, 4})})}, {}, 0);
    b.output(b.add("add", "both", {before, state}), "y");
    cases.push_back({"a state read before and after", std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
