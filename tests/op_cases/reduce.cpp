// cases reduce: every kind over reals and integers, dimensions in every order, of one element, of many and of none.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase reduce(const std::string& kind, const SymbolicShape& shape, const std::vector<std::int64_t>& axes,
              std::vector<double> x = {}, DType type = DType::F32, Attributes attributes = {}) {
  GraphBuilder b("reduce");
  attributes.set("kind", kind);
  std::vector<ValueId> inputs = {b.input("x", type, shape)};
  if (!axes.empty()) inputs.push_back(b.integers("axes", axes));
  b.output(b.add("reduce", "r", inputs, attributes), "y");
  OpCase c{fmt::format("{} {} {} {}, {} attributes", kind, dtype_name(type), to_string(shape), to_string(axes),
                       attributes.size()),
           std::move(b).finish(),
           {},
           {}};
  if (!x.empty()) c.values["x"] = std::move(x);
  return c;
}

}  // namespace

std::vector<OpCase> cases_reduce() {
  const std::int64_t none = 0;
  std::vector<OpCase> cases;
  const std::vector<double> positive = {0.5, 1, 2, 3.5, 1e-3, 7, 4, 2.5, 9, 0.1, 30, 1};
  const std::vector<double> signs = {-3, 5, 0, 7, -128, 100, 1, 2, 3, -4, 5, -6};
  for (const std::string kind :
       {"sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"}) {
    cases.push_back(reduce(kind, {3, 4}, {1}, positive));
    cases.push_back(reduce(kind, {3, none}, {1}));
    cases.push_back(reduce(kind, {none, 3}, {1}));
    cases.push_back(reduce(kind, {3, 4}, {}, positive, DType::F32, {{"noop_with_empty_axes", std::int64_t{1}}}));
    if (kind == "l2" || kind.starts_with("log")) continue;
    for (const DType type : {DType::I32, DType::I8, DType::I64}) {
      cases.push_back(reduce(kind, {3, 4}, {0}, signs, type));
      cases.push_back(reduce(kind, {none, 2}, {0}, {}, type));
    }
  }
  for (const std::string kind : {"max", "min"}) {
    for (const DType type : {DType::Bool, DType::U8}) {
      cases.push_back(reduce(kind, {2, 2}, {0}, {1, 0, 1, 1}, type));
      cases.push_back(reduce(kind, {none, 2}, {0}, {}, type));
    }
    cases.push_back(reduce(kind, {2, 3}, {1}, {kInfinity, 1, 2, -kInfinity, 3, -kInfinity}));
  }
  const std::vector<double> infinite = {kInfinity, 1, 2, -kInfinity, -kInfinity, -kInfinity, 100, 1000, -kInfinity};
  cases.push_back(reduce("log_sum_exp", {3, 3}, {1}, infinite));
  for (const std::string kind :
       {"sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"}) {
    std::vector<double> rows = {kInfinity,
                                1.0,
                                2.0,
                                -kInfinity,
                                kInfinity,
                                3.0,
                                kNotANumber,
                                1.0,
                                2.0,
                                1.0,
                                kNotANumber,
                                -1.0,
                                0.0,
                                -0.0,
                                0.0,
                                kLeastDenormal,
                                kLargestDenormal,
                                0.0,
                                1.0,
                                2.0,
                                3.0,
                                -kInfinity,
                                -2.0,
                                -kInfinity};
    // Whose square, or sum, is more than float holds.
    if (kind != "l2" && kind != "log_sum") rows.insert(rows.end(), {kLargest, kLargest, kLargest});
    const auto count = static_cast<std::int64_t>(rows.size() / 3);
    cases.push_back(reduce(kind, {count, 3}, {1}, rows));
    cases.back().name += ", special values";
    std::vector<double> many(2000, 0.5);
    many[1777] = kNotANumber;
    cases.push_back(reduce(kind, {2, 1000}, {1}, many));
    cases.back().name += ", NaN in the second row";
  }
  cases.push_back(reduce("sum", {}, {}));
  cases.push_back(reduce("sum", {3, 4, 5}, {}));
  cases.push_back(reduce("sum", {3, 4, 5}, {}, {}, DType::F32, {{"keep_dims", none}}));
  for (const std::vector<std::int64_t>& axes : {std::vector<std::int64_t>{0}, {1}, {-1}, {0, 2}, {-2, 2}, {0, 1}}) {
    cases.push_back(reduce("mean", {3, 4, 5}, axes, {}, DType::F32, {{"keep_dims", none}}));
  }
  cases.push_back(reduce("sum", {2, 3, 2, 3, 2, 3, 2, 3}, {0, 2, 4, 6}));
  cases.push_back(reduce("sum", {2, 3, 2, 3, 2, 3, 2, 3}, {1, 3, 5, 7}));
  for (const std::string kind : {"sum", "log_sum_exp", "max"}) {
    cases.push_back(reduce(kind, {3, 1000}, {1}));
    cases.push_back(reduce(kind, {777, 3}, {0}));
  }
  cases.push_back(reduce("mean", {200000}, {0}));
  cases.push_back(reduce("sum_square", {70000, 2}, {0, 1}));
  cases.push_back(reduce("mean", {5000, 3}, {1}));
  cases.push_back(reduce("max", {2, 4194305}, {0}));  // more workgroups than one dimension of the smallest device has
  return cases;
}

}  // namespace heed::op_cases
