// cases gather: places in every dimension, from the end, twice, and none.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase gather(const std::string& op, const SymbolicShape& x, const Shape& shape, std::vector<double> indices,
              const Attributes& attributes = {}, DType type = DType::F32) {
  GraphBuilder b("gather");
  const ValueId from = b.input("x", type, x);
  const ValueId at = b.input("i", DType::I64, SymbolicShape(shape.begin(), shape.end()));
  b.output(b.add(op, "g", {from, at}, attributes), "y");
  std::string name = fmt::format("{} {} {} {}", op, dtype_name(type), to_string(x), to_string(shape));
  for (const auto& [key, value] : attributes) name += fmt::format(" {} {}", key, std::get<std::int64_t>(value));
  return {name, std::move(b).finish(), {}, {{"i", std::move(indices)}}};
}

std::vector<double> spread(std::int64_t count, std::int64_t size) {
  std::vector<double> indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(static_cast<double>((i * 31 + 7) % (2 * size) - size));
  return indices;
}

}  // namespace

std::vector<OpCase> cases_gather() {
  const auto axis = [](std::int64_t at) { return Attributes{{"axis", at}}; };
  const auto batch = [](std::int64_t count) { return Attributes{{"batch_dims", count}}; };
  const std::int64_t none = 0;
  std::vector<OpCase> cases;
  for (const std::int64_t at : {0, 1, 2, -1})
    cases.push_back(gather("gather", {3, 4, 5}, {2, 2}, {0, -1, 2, 1}, axis(at)));
  cases.push_back(gather("gather", {3, 4}, {}, {-2}, axis(1)));
  cases.push_back(gather("gather", {5}, {7}, {4, 0, -5, -1, 0, 2, 4}));
  cases.push_back(gather("gather", {3, 4}, {0}, {}, axis(1)));
  cases.push_back(gather("gather", {none, 4}, {3}, {0, 1, -1}, axis(1)));
  cases.push_back(gather("gather", {1000, 17}, {333}, spread(333, 1000)));
  cases.push_back(gather("gather", {7}, {4194305}, spread(4194305, 7)));  // more workgroups than a dimension may have
  cases.push_back(gather("gather_elements", {3, 4}, {2, 4}, {0, 1, 2, 0, -1, -2, -3, 2}));
  cases.push_back(gather("gather_elements", {3, 4}, {3, 2}, {3, 1, -1, -4, 0, -2}, axis(1)));
  cases.push_back(gather("gather_elements", {2, 3, 4}, {2, 5, 3}, spread(30, 3), axis(-2)));
  cases.push_back(gather("gather_elements", {300, 3}, {1000, 3}, spread(3000, 300)));
  cases.push_back(
      gather("gather_elements", {3, 3, 3, 3, 3, 3, 3, 3}, {2, 2, 2, 2, 2, 2, 2, 2}, spread(256, 3), axis(3)));
  cases.push_back(gather("gather_elements", {3, 4}, {0, 4}, {}));
  cases.push_back(gather("gather_nd", {2, 2}, {2, 2}, {0, 0, 1, -1}));
  cases.push_back(gather("gather_nd", {2, 3, 5}, {4, 1}, {1, 0, -1, -2}));
  cases.push_back(gather("gather_nd", {2, 3, 5}, {2, 1}, {1, -3}, batch(1)));
  cases.push_back(gather("gather_nd", {2, 3, 5, 2}, {2, 3, 4, 2}, spread(48, 2), batch(2)));
  cases.push_back(gather("gather_nd", {2, 3}, {2, 2, 0}, {}));  // every tuple names all of x
  cases.push_back(gather("gather_nd", {40, 50}, {500, 2}, spread(1000, 40)));
  cases.push_back(gather("gather", {46, 3}, {50}, spread(50, 46)));
  cases.push_back(gather("gather_elements", {46, 3}, {50, 3}, spread(150, 46)));
  cases.push_back(gather("gather_nd", {46, 3}, {50, 1}, spread(50, 46)));
  for (std::size_t i = cases.size() - 3; i < cases.size(); ++i) {
    cases[i].name += ", special values";
    cases[i].values["x"] = special_values_for({46, 3});
  }
  for (const DType type : {DType::I32, DType::I64, DType::U8}) {
    cases.push_back(gather("gather", {3}, {2}, {2, 0}, {}, type));
    cases.back().values["x"] = {1, 2, 3};
  }
  {
    GraphBuilder b("gather");  // of a weight in few bits
    b.output(b.add("gather", "g", {b.weight("w", DType::Q8_0, {4, 32}), b.input("i", DType::I32, {3})}), "y");
    cases.push_back({"gather q8_0", std::move(b).finish(), {}, {{"i", {3, 0, -2}}}});
  }
  return cases;
}

}  // namespace heed::op_cases
