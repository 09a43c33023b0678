// cases reshape: the same elements under another shape, in the arena, as inputs and as outputs.
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_reshape() {
  std::vector<OpCase> cases;
  for (const bool inside : {false, true}) {
    const auto add = [&](const std::string& name, const std::string& op, const SymbolicShape& shape,
                         std::vector<std::int64_t> values, Attributes attributes = {}) {
      GraphBuilder b(op);
      ValueId x = b.input("x", DType::F32, shape);
      if (inside) x = b.add("neg", "before", {x});
      std::vector<ValueId> inputs = {x};
      if (op != "flatten" && op != "identity") inputs.push_back(b.integers("list", std::move(values)));
      ValueId y = b.add(op, "op", inputs, std::move(attributes));
      if (inside) y = b.add("exp", "after", {y});
      b.output(y, "y");
      cases.push_back({name + (inside ? ", between others" : ""), std::move(b).finish(), {}, {}});
    };
    add("reshape with -1 and 0", "reshape", {2, 3, 4}, {0, -1, 2});
    add("reshape of none", "reshape", {std::int64_t{0}, 3}, {3, 0}, {{"allow_zero", std::int64_t{1}}});
    add("squeeze", "squeeze", {1, 3, 1, 2}, {0, -2});
    add("unsqueeze", "unsqueeze", {3, 2}, {0, 3, -1});
    add("flatten", "flatten", {2, 3, 4}, {}, {{"axis", std::int64_t{2}}});
    add("flatten to one row", "flatten", {2, 3, 4}, {}, {{"axis", std::int64_t{0}}});
    add("identity", "identity", {7}, {});
    add("identity of one", "identity", {1}, {});
    add("flatten, more than a workgroup", "flatten", {3, 7, 131}, {}, {{"axis", std::int64_t{1}}});
    if (inside) continue;
    add("identity of special values", "identity", {23}, {});
    cases.back().values["x"] = special_values();
    add("reshape of special values", "reshape", {23, 4}, {2, 46});
    cases.back().values["x"] = special_values_for({23, 4});
  }
  return cases;
}

}  // namespace heed::op_cases
