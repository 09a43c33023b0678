// cases slice: parts with every kind of step, and tensors of parts.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_slice() {
  std::vector<OpCase> cases;
  const auto slice = [&](const SymbolicShape& shape, const std::vector<std::vector<std::int64_t>>& lists) {
    GraphBuilder b("slice");
    std::vector<ValueId> inputs = {b.input("x", DType::F32, shape)};
    std::string name = "slice " + to_string(shape);
    for (std::size_t i = 0; i < lists.size(); ++i) {
      inputs.push_back(b.integers(fmt::format("list {}", i), lists[i]));
      name += " " + to_string(lists[i]);
    }
    b.output(b.add("slice", "s", inputs), "y");
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  constexpr std::int64_t kEnd = 9007199254740992;
  slice({20, 10, 5}, {{0, 0}, {3, 10}, {0, 1}, {1, 1}});
  slice({20, 10, 5}, {{1}, {1000}});
  slice({20, 10, 5}, {{-1}, {-kEnd}, {0}, {-1}});
  slice({20, 10, 5}, {{0, -5}, {-1, kEnd}, {-1, 1}, {2, 3}});
  slice({20, 10}, {{5}, {5}});
  slice({46, 3}, {{40, 0}, {3, 3}, {0, 1}, {-1, 2}});
  cases.back().name += ", special values";
  cases.back().values["x"] = special_values_for({46, 3});
  slice({4, 6}, {{1}, {3}});  // rows: no copy where alignment allows
  {
    GraphBuilder b("split");
    const ValueId x = b.add("neg", "n", {b.input("x", DType::F32, {64, 7})});
    const std::vector<ValueId> parts = b.add_many("split", "s", {x}, {{"axis", std::int64_t{0}}}, 4);
    for (std::size_t i = 0; i < parts.size(); ++i)
      b.output(b.add("exp", fmt::format("e{}", i), {parts[i]}), fmt::format("y{}", i));
    cases.push_back({"split in four equal parts", std::move(b).finish(), {}, {}});
  }
  {
    GraphBuilder b("split");
    const ValueId x = b.input("x", DType::F32, {3, 7});
    const std::vector<ValueId> parts =
        b.add_many("split", "s", {x, b.integers("sizes", {2, 0, 5})}, {{"axis", std::int64_t{-1}}}, 3);
    for (std::size_t i = 0; i < parts.size(); ++i) b.output(parts[i], fmt::format("y{}", i));
    cases.push_back({"split in columns", std::move(b).finish(), {}, {}});
  }
  {
    GraphBuilder b("concat");
    const ValueId x = b.input("x", DType::F32, {23, 2});
    b.output(b.add("concat", "c", {x, b.input("z", DType::F32, {23, 4}), x}, {{"axis", std::int64_t{1}}}), "y");
    cases.push_back({"concat of special values",
                     std::move(b).finish(),
                     {},
                     {{"x", special_values_for({23, 2})}, {"z", special_values_for({23, 4})}}});
  }
  // By fours, and places from which it does not go.
  slice({6, 5, 8}, {{1, 4}, {6, 8}, {0, 2}, {2, 1}});
  slice({6, 5, 8}, {{1, 2}, {6, 6}, {0, 2}, {2, 1}});
  for (const std::int64_t first : {4, 6}) {
    GraphBuilder b("concat");
    const ValueId a = b.input("a", DType::F32, {3, first, 8});
    const ValueId z = b.input("b", DType::F32, {3, 4, 8});
    b.output(b.add("concat", "c", {a, z}, {{"axis", std::int64_t{1}}}), "rows");
    const ValueId d = b.input("c", DType::F32, {5, first});
    const ValueId e = b.input("d", DType::F32, {5, 8});
    b.output(b.add("concat", "columns", {d, e}, {{"axis", std::int64_t{1}}}), "y");
    cases.push_back({fmt::format("concat of {} and 4", first), std::move(b).finish(), {}, {}});
  }
  {
    GraphBuilder b("concat");  // more workgroups than one dimension of the smallest device has
    const ValueId x = b.input("x", DType::F32, {4194305, 1});
    b.output(b.add("concat", "c", {x, x}, {{"axis", std::int64_t{1}}}), "y");
    cases.push_back({"concat of 4194305 rows", std::move(b).finish(), {}, {}});
  }
  {
    // Parts that are written where they lie in the whole, one of them twice there, one read from there too, and a whole
    // that is part of another; beside an input, a part that is not whole vectors of four, and one behind it.
    GraphBuilder b("concat");
    const ValueId x = b.input("x", DType::F32, {1, 4, 64});
    const ValueId z = b.input("z", DType::F32, {1, 1, 3});
    const auto made = [&](const std::string& op, ValueId of) { return b.add(op, op + std::to_string(of), {of}); };
    const ValueId negative = made("neg", x);
    const Attributes rows = {{"axis", std::int64_t{1}}}, columns = {{"axis", std::int64_t{-1}}};
    const ValueId inner = b.add("concat", "inner", {negative, made("abs", negative), negative}, rows);
    const ValueId outer = b.add("concat", "outer", {x, inner, made("exp", inner)}, rows);
    b.output(outer, "outer_y");
    const ValueId flat = b.add("reshape", "flat", {made("sqrt", made("exp", x)), b.integers("one row", {1, 1, 256})});
    const ValueId same = made("neg", made("neg", z));
    b.output(b.add("concat", "odd", {flat, same, made("abs", flat), z, made("relu", flat)}, columns), "odd_y");
    cases.push_back({"concat of parts that lie there", std::move(b).finish(), {}, {}});
  }
  for (const std::int64_t axis : {0, 1, -1}) {
    GraphBuilder b("concat");
    const auto input = [&](const std::string& name, std::int64_t size) {
      SymbolicShape shape = {2, 3, 4};
      shape[static_cast<std::size_t>(axis < 0 ? axis + 3 : axis)] = size;
      return b.input(name, DType::F32, shape);
    };
    b.output(b.add("concat", "c", {input("a", 5), input("b", 0), input("c", 1), input("d", 2)}, {{"axis", axis}}), "y");
    cases.push_back({fmt::format("concat along {}", axis), std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
