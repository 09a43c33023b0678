// cases cumsum: every dimension and direction, lines in one block and in many.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase cumsum(const SymbolicShape& shape, std::int64_t axis, bool exclusive, bool reverse, DType type = DType::F32) {
  GraphBuilder b("cumsum");
  const ValueId at = b.add("constant", "axis", {},
                           {{"dtype", "i64"}, {"shape", Shape{}}, {"integers", std::vector<std::int64_t>{axis}}});
  const Attributes attributes = {{"exclusive", std::int64_t{exclusive}}, {"reverse", std::int64_t{reverse}}};
  b.output(b.add("cumsum", "c", {b.input("x", type, shape), at}, attributes), "y");
  OpCase c{fmt::format("{} {} axis {}{}{}", dtype_name(type), to_string(shape), axis, exclusive ? " exclusive" : "",
                       reverse ? " reverse" : ""),
           std::move(b).finish(),
           {},
           {}};
  if (!is_floating(type)) {
    std::vector<double>& x = c.values["x"];
    for (std::int64_t i = element_count(bind(shape, {})); i > 0; --i) x.push_back(static_cast<double>(i % 13 + 1));
  }
  return c;
}

}  // namespace

std::vector<OpCase> cases_cumsum() {
  std::vector<OpCase> cases;
  for (const bool exclusive : {false, true}) {
    for (const bool reverse : {false, true}) {
      for (const std::int64_t axis : {0, 1, -1}) cases.push_back(cumsum({3, 4, 5}, axis, exclusive, reverse));
      cases.push_back(cumsum({1000}, 0, exclusive, reverse));
      cases.push_back(cumsum({2, 101, 3}, 1, exclusive, reverse));
      cases.push_back(cumsum({2, 100}, 1, exclusive, reverse, DType::I32));
      cases.push_back(cumsum({40}, 0, exclusive, reverse, DType::U8));
    }
  }
  for (const bool reverse : {false, true}) {
    cases.push_back(cumsum({3, 211}, 1, false, reverse));
    cases.back().name += ", special values";
    std::vector<double>& x = cases.back().values["x"];
    x.assign(3 * 211, 0.25);
    x[100] = kNotANumber;
    x[211 + 57] = kInfinity;
    x[211 + 170] = -kInfinity;
    x[2 * 211 + 9] = kLargestDenormal;
  }
  cases.push_back(cumsum({1}, 0, false, false));
  cases.push_back(cumsum({1}, 0, true, false));
  cases.push_back(cumsum({std::int64_t{0}, 3}, 1, false, false));
  cases.push_back(cumsum({3, std::int64_t{0}}, 1, false, false));
  cases.push_back(cumsum({100000}, 0, false, false));
  cases.push_back(cumsum({2000, 3}, 1, false, false));
  return cases;
}

}  // namespace heed::op_cases
