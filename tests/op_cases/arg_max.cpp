// cases arg_max: every dimension, equal elements, infinities, rows longer than an invocation takes.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase arg_max(const std::string& op, const SymbolicShape& shape, std::int64_t axis, std::vector<double> x = {},
               DType type = DType::F32, Attributes attributes = {}) {
  GraphBuilder b("arg_max");
  attributes.set("axis", axis);
  b.output(b.add(op, "a", {b.input("x", type, shape)}, attributes), "y");
  OpCase c{fmt::format("{} {} {} axis {}{}", op, dtype_name(type), to_string(shape), axis,
                       attributes.integer("select_last_index", 0) != 0 ? ", the last" : ""),
           std::move(b).finish(),
           {},
           {}};
  if (!x.empty()) c.values["x"] = std::move(x);
  return c;
}

}  // namespace

std::vector<OpCase> cases_arg_max() {
  const std::int64_t none = 0;
  const std::int64_t one = 1;
  std::vector<OpCase> cases;
  for (const std::string op : {"arg_max", "arg_min"}) {
    for (const std::int64_t axis : {0, 1, -1}) cases.push_back(arg_max(op, {3, 4, 5}, axis));
    for (const std::int64_t last : {none, one}) {
      const Attributes attributes = {{"select_last_index", last}, {"keep_dims", none}};
      cases.push_back(arg_max(op, {2, 6}, 1, {1, -2, -2, 5, 5, 1, 0, -0.0, 0, 0, -0.0, 0}, DType::F32, attributes));
      cases.push_back(arg_max(op, {6}, 0, {3, -128, 127, 127, -128, 0}, DType::I8, attributes));
      std::vector<double> steps;
      for (int i = 0; i < 2000; ++i) steps.push_back(i % 7 == 3 ? 2.0 : i % 5 == 2 ? -2.0 : 0.5);
      cases.push_back(arg_max(op, {2, 1000}, 1, steps, DType::F32, attributes));
    }
    cases.push_back(arg_max(op, {4}, 0, {-kInfinity, kInfinity, kInfinity, -kInfinity}));
    cases.push_back(arg_max(op, {2}, 0, {-kInfinity, -kInfinity}));
    for (const std::int64_t last : {none, one}) {
      const Attributes attributes = {{"select_last_index", last}};
      const double nan = kNotANumber;
      cases.push_back(arg_max(op, {5, 4}, 1,
                              {1, nan, kInfinity, nan, -kInfinity, 2,   -nan,       -3,        kLargest, -kLargest,
                               5, 0,   nan,       nan, nan,        nan, -kInfinity, kInfinity, 0,        -0.0},
                              DType::F32, attributes));
      cases.back().name += ", special values";
      std::vector<double> many(3000, 0.5);
      many[2500] = many[2700] = nan;
      cases.push_back(arg_max(op, {2, 1500}, 1, many, DType::F32, attributes));
      cases.back().name += ", NaN in the second row";
    }
    cases.push_back(arg_max(op, {none, one}, 1));
    cases.push_back(arg_max(op, {one}, 0));
    cases.push_back(arg_max(op, {100000}, 0));
    cases.push_back(arg_max(op, {500, 9}, 0));
    cases.push_back(arg_max(op, {5000, 3}, 1));
  }
  cases.push_back(arg_max("arg_max", {2, 4194305}, 0));  // more workgroups than a dimension may have
  return cases;
}

}  // namespace heed::op_cases
