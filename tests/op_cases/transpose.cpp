// cases transpose: orders of up to eight dimensions, and repetition.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_transpose() {
  std::vector<OpCase> cases;
  const auto transpose = [&](const SymbolicShape& shape, std::vector<std::int64_t> perm) {
    GraphBuilder b("transpose");
    Attributes attributes;
    const std::string name = fmt::format("transpose {} by {}", to_string(shape), to_string(perm));
    if (!perm.empty()) attributes.set("perm", std::move(perm));
    b.output(b.add("transpose", "t", {b.input("x", DType::F32, shape)}, attributes), "y");
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  transpose({5, 7}, {});
  transpose({5, 7}, {0, 1});
  transpose({2, 3, 4}, {0, 2, 1});
  transpose({2, 3, 4}, {1, 2, 0});
  transpose({2, 3, 1, 4, 5}, {4, 2, 0, 3, 1});
  transpose({2, 2, 3, 2, 2, 3, 2, 2}, {7, 5, 3, 1, 0, 2, 4, 6});
  transpose({100, 33}, {1, 0});
  transpose({2097153, 2}, {1, 0});  // more workgroups than one dimension of the smallest device has
  transpose({std::int64_t{0}, 3}, {1, 0});
  transpose({}, {});
  transpose({23, 8}, {1, 0});
  cases.back().name += ", special values";
  cases.back().values["x"] = special_values_for({23, 8});
  const auto repeat = [&](const std::string& op, const SymbolicShape& shape, std::vector<std::int64_t> list) {
    GraphBuilder b("repeat");
    const std::string name = fmt::format("{} {} {}", op, to_string(shape), to_string(list));
    const ValueId c = b.integers("c", std::move(list));
    b.output(b.add(op, "r", {b.input("x", DType::F32, shape), c}), "y");
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  repeat("expand", {3, 1}, {2, 1, 4});
  repeat("expand", {3, 4}, {3, 4});
  repeat("expand", {1}, {5});
  repeat("expand", {2, 1, 3}, {1, 4, 1});
  repeat("tile", {2, 3}, {1, 1});
  repeat("tile", {2, 3}, {3, 2});
  repeat("tile", {2, 3, 4}, {2, 1, 3});
  repeat("tile", {2, 3}, {0, 2});
  repeat("expand", {1, 257}, {67, 1});
  repeat("tile", {67, 13}, {2, 3});
  for (const std::string op : {"expand", "tile"}) {
    repeat(op, {23, 1}, {1, 5});
    cases.back().name += ", special values";
    cases.back().values["x"] = special_values();
  }
  return cases;
}

}  // namespace heed::op_cases
