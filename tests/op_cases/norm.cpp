// cases norm: RMS and layer norm; widths of one, odd, wider than a workgroup; rows of zeros, large and cancelling
// numbers.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase norm(const std::string& op, std::int64_t rows, std::int64_t width, bool bias, double eps,
            DType dtype = DType::F32) {
  GraphBuilder b("norm");
  const ValueId x = b.input("x", DType::F32, {rows, width});
  const ValueId weight = b.weight("weight", dtype, {width});
  b.output(b.add(op, "norm", {x, weight, bias ? b.weight("bias", dtype, {width}) : kNoValue}, {{"eps", eps}}), "y");
  return {fmt::format("{} {}x{}{}, eps {}, {}", op, rows, width, bias ? ", bias" : "", eps, dtype_name(dtype)),
          std::move(b).finish(),
          {},
          {}};
}

OpCase with_values(OpCase c, const std::string& what, std::vector<double> values) {
  c.name += ", " + what;
  c.values["x"] = std::move(values);
  return c;
}

}  // namespace

std::vector<OpCase> cases_norm() {
  std::vector<OpCase> cases;
  for (const std::string op : {"rms_norm", "layer_norm"}) {
    for (const std::int64_t width : {1, 3, 4, 5, 64, 172, 288, 1030, 4096}) {
      cases.push_back(norm(op, 3, width, op == "layer_norm" && width % 2 == 0, 1e-5));
    }
    cases.push_back(norm(op, 1, 288, false, 1e-6));
    cases.push_back(norm(op, 70, 8, false, 1e-12));
    cases.push_back(norm(op, 0, 16, false, 1e-5));
    cases.push_back(norm(op, 2, 64, false, 1e-5, DType::F16));
    cases.push_back(norm(op, 2, 64, false, 1e-5, DType::Q8_0));
    cases.push_back(with_values(norm(op, 2, 5, false, 1e-5), "zeros", std::vector<double>(10, 0.0)));
    std::vector<double> rows(7 * 5, 0.0);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<double>(i * 7 % 5) - 1.5;
    rows[1 * 5 + 2] = kNotANumber;  // in a row each: the others are as ever
    rows[2 * 5 + 4] = kInfinity;
    rows[3 * 5 + 0] = -kInfinity;
    for (std::size_t i = 0; i < 5; ++i) rows[4 * 5 + i] = i % 2 == 0 ? kLeastDenormal : -kLargestDenormal;
    for (std::size_t i = 0; i < 5; ++i) rows[5 * 5 + i] = -0.0;
    cases.push_back(with_values(norm(op, 7, 5, op == "layer_norm", 1e-5), "special values", rows));
    std::vector<double> wide(3 * 300, 0.5);
    for (std::size_t i = 0; i < 300; ++i) wide[300 + i] = 0.0;
    wide[2 * 300 + 299] = kNotANumber;
    cases.push_back(with_values(norm(op, 3, 300, false, 1e-5), "a row of zeros and one with NaN", wide));
    // The squares stay within float.
    cases.push_back(with_values(norm(op, 1, 4, false, 1e-5), "large", {1e18, -5e17, 2e18, 0.0}));
    cases.push_back(with_values(norm(op, 1, 4, false, 1e-30), "small", {1e-12, -5e-13, 2e-12, 0.0}));
  }
  // More rows than workgroups in one dimension.
  cases.push_back(norm("rms_norm", 65600, 3, false, 1e-5));
  {
    // A large mean: computing E[x^2] - E[x]^2 in float would give garbage here.
    std::vector<double> x;
    for (int i = 0; i < 64; ++i) x.push_back(10000.0 + (i * 7 % 13) * 0.25);
    cases.push_back(with_values(norm("layer_norm", 1, 64, true, 1e-5), "large mean", x));
  }
  {
    GraphBuilder b("norm");
    const ValueId x = b.input("x", DType::F32, {2, 3, 12});
    b.output(b.add("layer_norm", "norm", {x, b.weight("weight", DType::BF16, {12}), b.weight("bias", DType::F16, {12})},
                   {{"eps", 1e-5}}),
             "y");
    cases.push_back({"layer_norm [2, 3, 12], bf16 weight, f16 bias", std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
