// cases scatter: every reduction over reals and integers, places named twice, and from the end.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase scatter(const std::string& op, const SymbolicShape& x, const Shape& shape, const SymbolicShape& updates,
               std::vector<double> indices, const std::string& reduction = "none", std::int64_t axis = 0,
               DType type = DType::F32) {
  GraphBuilder b("scatter");
  const std::vector<ValueId> inputs = {b.input("x", type, x),
                                       b.input("i", DType::I64, SymbolicShape(shape.begin(), shape.end())),
                                       b.input("u", type, updates)};
  Attributes attributes = {{"reduction", reduction}};
  if (op == "scatter_elements") attributes.set("axis", axis);
  b.output(b.add(op, "s", inputs, attributes), "y");
  return {fmt::format("{} {} {} {} {} axis {}", op, dtype_name(type), to_string(x), to_string(shape), reduction, axis),
          std::move(b).finish(),
          {},
          {{"i", std::move(indices)}}};
}

std::vector<double> scattered(std::int64_t count, std::int64_t size) {
  std::vector<double> indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(static_cast<double>((i * i * 31 + 7) % (2 * size) - size));
  return indices;
}

}  // namespace

std::vector<OpCase> cases_scatter() {
  std::vector<OpCase> cases;
  const std::int64_t none = 0;
  for (const std::string reduction : {"none", "add", "mul", "max", "min"}) {
    cases.push_back(scatter("scatter_elements", {3, 4}, {2, 4}, {2, 4}, {0, 1, 2, 0, -1, 1, -3, 2}, reduction));
    cases.push_back(scatter("scatter_elements", {3, 5}, {3, 7}, {3, 7}, scattered(21, 5), reduction, 1));
    cases.push_back(scatter("scatter_nd", {4, 3}, {5, 1}, {5, 3}, {0, -1, 2, 0, 3}, reduction));
    for (const DType type : {DType::I32, DType::I8}) {
      cases.push_back(scatter("scatter_elements", {4}, {5}, {5}, {0, 1, 1, -1, 1}, reduction, 0, type));
      cases.back().values["x"] = {100, 3, -7, 1};
      cases.back().values["u"] = {100, -2, 5, 0, -128};
    }
    // Every special value meets some other, twice.
    cases.push_back(scatter("scatter_elements", {23}, {46}, {46}, scattered(46, 23), reduction));
    cases.back().name += ", special values";
    cases.back().values["x"] = special_values();
    cases.back().values["u"] = special_values_for({46});
    cases.push_back(scatter("scatter_nd", {2, 3}, {4, 2}, {4}, {0, 0, 1, 2, 1, -1, -1, 2}, reduction, 0, DType::I32));
    cases.back().values["x"] = {1, 2, 3, 4, 5, 6};
    cases.back().values["u"] = {7, -8, 9, 4};
  }
  for (const std::int64_t axis : {0, 1, 2, -1}) {
    cases.push_back(scatter("scatter_elements", {3, 4, 5}, {2, 3, 2}, {2, 3, 2}, scattered(12, 3), "none", axis));
  }
  cases.push_back(scatter("scatter_elements", {3, 3, 3, 3, 3, 3, 3, 3}, {2, 2, 2, 2, 2, 2, 2, 2},
                          {2, 2, 2, 2, 2, 2, 2, 2}, scattered(256, 3), "add", 3));
  cases.push_back(
      scatter("scatter_elements", {100}, {70000}, {70000}, scattered(70000, 100), "max"));  // in two dispatches
  cases.push_back(scatter("scatter_elements", {300, 9}, {500, 9}, {500, 9}, scattered(4500, 300), "none"));
  cases.push_back(scatter("scatter_elements", {3, 1009}, {2, 1009}, {2, 1009}, scattered(2018, 3), "add"));
  cases.push_back(scatter("scatter_elements", {3, 4}, {0, 4}, {std::int64_t{0}, 4}, {}));
  cases.push_back(scatter("scatter_elements", {none, 2}, {none, 2}, {none, 2}, {}));
  cases.push_back(scatter("scatter_nd", {2, 3, 5}, {2, 2, 2}, {2, 2, 5}, {0, 0, 1, -1, 0, 0, 1, 2}));
  cases.push_back(scatter("scatter_nd", {2, 3}, {2, 0}, {2, 2, 3}, {}, "add"));  // all of x, twice
  cases.push_back(scatter("scatter_nd", {50, 40}, {400, 2}, {400}, scattered(800, 40)));
  cases.push_back(scatter("scatter_nd", {8}, {4, 1}, {4}, {4, 3, 1, 7}));
  return cases;
}

}  // namespace heed::op_cases
