// cases one_hot: the new dimension in every place, indices from the end and outside.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_one_hot() {
  std::vector<OpCase> cases;
  const auto one_hot = [&](const SymbolicShape& shape, std::vector<double> indices, std::int64_t depth,
                           std::int64_t axis, DType type, std::int64_t inside = 0) {
    GraphBuilder b("one_hot");
    const ValueId size = b.add("constant", "depth", {},
                               {{"dtype", "i64"}, {"shape", Shape{}}, {"integers", std::vector<std::int64_t>{depth}}});
    const std::vector<ValueId> inputs = {b.input("i", DType::I64, shape), size, b.input("v", type, {2})};
    b.output(b.add("one_hot", "o", inputs, {{"axis", axis}, {"inside", inside}}), "y");
    cases.push_back({fmt::format("{} {} depth {} axis {}{}", dtype_name(type), to_string(shape), depth, axis,
                                 inside != 0 ? " inside" : ""),
                     std::move(b).finish(),
                     {},
                     {{"i", std::move(indices)}, {"v", {2, 5}}}});
  };
  for (const std::int64_t axis : {0, 1, 2, -1, -2, -3}) one_hot({2, 3}, {0, -1, 3, 4, -5, -4}, 4, axis, DType::F32);
  one_hot({}, {2}, 3, -1, DType::F32);
  one_hot({3}, {0, 0, 0}, 1, 0, DType::I32);
  one_hot({3}, {0, 1, 2}, 0, 0, DType::F32);
  one_hot({std::int64_t{0}}, {}, 5, -1, DType::F32);
  one_hot({5}, {100, -100, 99, 7, 1000000}, 100, -1, DType::U8);
  one_hot({11, 13}, std::vector<double>(143, 5), 17, 1, DType::F32);
  one_hot({3, 7}, std::vector<double>(21, 2), 31, 1, DType::F32);
  cases.back().name += ", special values";
  cases.back().values["v"] = {kLeastDenormal, -kInfinity};
  one_hot({5}, {9, -10, 0, 3, -1}, 10, -1, DType::F32, 1);
  return cases;
}

}  // namespace heed::op_cases
