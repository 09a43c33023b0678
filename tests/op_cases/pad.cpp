// cases pad: every mode, elements added and taken away, further than the tensor is long, integers.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_pad() {
  std::vector<OpCase> cases;
  const auto pad = [&](const std::string& mode, const SymbolicShape& shape, const std::vector<std::int64_t>& pads,
                       const std::vector<std::int64_t>& axes = {}, bool value = false, DType type = DType::F32) {
    GraphBuilder b("pad");
    std::vector<ValueId> inputs = {b.input("x", type, shape), b.integers("pads", pads)};
    if (value || !axes.empty()) inputs.push_back(value ? b.input("value", type, {}) : kNoValue);
    if (!axes.empty()) inputs.push_back(b.integers("axes", axes));
    b.output(b.add("pad", "p", inputs, {{"mode", mode}}), "y");
    std::string name = fmt::format("{} {} {}", mode, to_string(shape), to_string(pads));
    if (!axes.empty()) name += " axes " + to_string(axes);
    if (value) name += ", value";
    if (type != DType::F32) name += fmt::format(", {}", dtype_name(type));
    cases.push_back({name, std::move(b).finish(), {}, {}});
    if (type != DType::F32) {
      std::vector<double> x;
      std::int64_t count = 1;
      for (const Dim& dim : shape) count *= dim.size;
      for (std::int64_t i = 0; i < count; ++i) x.push_back(static_cast<double>(i % 100 - 50));
      cases.back().values["x"] = x;
      if (value) cases.back().values["value"] = {-7};
    }
  };
  for (const std::string mode : {"constant", "reflect", "edge", "wrap"}) {
    pad(mode, {7}, {2, 3});
    pad(mode, {3}, {8, 11});
    pad(mode, {1}, {2, 1});
    pad(mode, {2, 3, 4, 5}, {0, 0, 1, 2, 0, 0, 3, 4});
    pad(mode, {3, 4}, {1, 0, 0, 2});
    pad(mode, {6, 7}, {-1, 2, 1, -3});
    pad(mode, {6, 7}, {-3, -2, -3, -2});
    pad(mode, {4, 5, 6}, {2, 1, 0, 3}, {-1, 0});
    pad(mode, {4, 5}, {1, 1, 2, 2}, {}, false, DType::I8);
    pad(mode, {23, 3}, {2, 1, 3, 2});
    cases.back().name += ", special values";
    cases.back().values["x"] = special_values_for({23, 3});
    pad(mode, {2, 2, 2, 2, 2, 2, 2}, {1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1});
    pad(mode, {std::int64_t{0}, 3}, {0, 1, 0, 1});
  }
  pad("constant", {3, 4}, {1, 2, 3, 4}, {}, true);
  pad("constant", {3, 4}, {1, 2, 3, 4}, {}, true, DType::I64);
  pad("constant", {std::int64_t{0}, 3}, {1, 1, 1, 1}, {}, true);
  for (const auto& [name, value] : {std::pair{"-infinity", -kInfinity}, {"NaN", kNotANumber}, {"-0", -0.0}}) {
    pad("constant", {3, 4}, {1, 2, 3, 4}, {}, true);
    cases.back().name += fmt::format(" {}", name);
    cases.back().values["value"] = {value};
  }
  pad("constant", {}, {});
  pad("edge", {4194301}, {3, 5});  // more workgroups than one dimension of the smallest device has
  pad("constant", {5, 300, 301}, {0, 1, 1, 0, 1, 2});
  pad("constant", {1, 1, 2, 3, 1, 2, 3, 2}, {0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1});
  return cases;
}

}  // namespace heed::op_cases
