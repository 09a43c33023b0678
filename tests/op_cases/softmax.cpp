// cases softmax: every axis, rows of one element, longer than a workgroup, huge values, masks of -infinity.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase softmax(const SymbolicShape& shape, std::int64_t axis, std::vector<double> x = {}, const std::string& what = "",
               const std::string& op = "softmax") {
  GraphBuilder b("softmax");
  b.output(b.add(op, "softmax", {b.input("x", DType::F32, shape)}, {{"axis", axis}}), "y");
  OpCase c{fmt::format("{} {} axis {}{}{}", op, to_string(shape), axis, what.empty() ? "" : ", ", what),
           std::move(b).finish(),
           {},
           {}};
  if (!x.empty()) c.values["x"] = std::move(x);
  return c;
}

}  // namespace

std::vector<OpCase> cases_softmax() {
  std::vector<OpCase> cases;
  for (const std::int64_t length : {1, 2, 3, 7, 64, 257, 5000}) cases.push_back(softmax({3, length}, -1));
  for (const std::int64_t axis : {0, 1, 2, -1, -2, -3}) cases.push_back(softmax({4, 5, 6}, axis));
  cases.push_back(softmax({1}, 0));
  cases.push_back(softmax({std::int64_t{0}, 4}, 1));
  cases.push_back(softmax({4, std::int64_t{0}}, 1));
  cases.push_back(softmax({65600, 2}, 1));
  cases.push_back(softmax({2, 70000}, 0));
  cases.push_back(softmax({2, 3}, 1, {1e38, 1e38, -1e38, -3e38, -3e38, -3e38}, "huge"));
  cases.push_back(softmax({1, 4}, 1, {1000.0, 999.0, 990.0, -1000.0}, "large"));
  cases.push_back(
      softmax({2, 4}, 1, {0.5, -kInfinity, 1.0, -kInfinity, -kInfinity, -kInfinity, -kInfinity, -2.0}, "masked"));
  cases.push_back(softmax({1, 4}, 1, {-1e30, 0.0, -1e30, 0.0}, "masked by -1e30"));
  cases.push_back(softmax({1, 3}, 1, {-kInfinity, -kInfinity, -kInfinity}, "nothing left"));
  for (const std::string op : {"log_softmax", "hardmax"}) {
    for (const std::int64_t axis : {0, 1, -1}) cases.push_back(softmax({4, 5, 6}, axis, {}, "", op));
    cases.push_back(softmax({3, 257}, -1, {}, "", op));
    cases.push_back(softmax({4, std::int64_t{0}}, 1, {}, "", op));
    cases.push_back(softmax({2, 5}, 1, {1, 7, 7, 7, 2, -3, -3, -3, -4, -3}, "equal ones", op));
    cases.push_back(softmax({1, 4}, 1, {-kInfinity, 0.5, -kInfinity, -200.0}, "masked", op));
  }
  cases.push_back(softmax({1, 3}, 1, {-kInfinity, -kInfinity, -kInfinity}, "nothing left", "hardmax"));
  const std::vector<double> rows = {
      kInfinity,  0.0,         -kInfinity, 1.0,  // an infinity, NaN, and what rounds to zero, each
      1.0,        kNotANumber, 2.0,        3.0,  // beside rows that are none of this
      1.0,        2.0,         3.0,        4.0,        kLeastDenormal, -kLargestDenormal, 0.0,       -0.0,
      -kInfinity, -kInfinity,  -kInfinity, -kInfinity, kLargest,       kLargest,          -kLargest, 0.0};
  std::vector<double> long_rows(2 * 300, 0.25);
  long_rows[299] = kNotANumber;
  for (const std::string op : {"softmax", "log_softmax", "hardmax"}) {
    cases.push_back(softmax({6, 4}, 1, rows, "special values", op));
    cases.push_back(softmax({2, 300}, 1, long_rows, "NaN at the end of the first row", op));
  }
  return cases;
}

}  // namespace heed::op_cases
