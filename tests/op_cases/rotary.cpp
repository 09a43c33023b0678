// cases rotary: both layouts, turned parts of heads, odd heads, frequency factors, positions up to the context's end.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct RotaryCase {
  std::string layout;
  std::int64_t rows = 1;
  std::int64_t heads = 2;
  std::int64_t head_dim = 8;
  std::int64_t dims = 0;  // 0: all
  double position = 0;
  std::int64_t context = 4096;
  double base = 10000.0;
  std::vector<double> freq_factors = {};
  double scale = 1;
  std::vector<double> own = {};  // a position for each row
};

OpCase rotary(const RotaryCase& c) {
  GraphBuilder b("rotary");
  const ValueId x = b.input("x", DType::F32, {"tokens", c.heads * c.head_dim});
  const ValueId position = b.state("position", DType::I32, {c.own.empty() ? Dim(1) : Dim("tokens")});
  Attributes attributes{{"heads", c.heads}, {"layout", c.layout}, {"base", c.base}};
  if (c.dims > 0) attributes.set("dims", c.dims);
  if (!c.freq_factors.empty()) attributes.set("freq_factors", c.freq_factors);
  if (c.scale != 1) attributes.set("scale", c.scale);
  b.output(b.add("rotary", "rotary", {x, position}, attributes), "y");
  return {fmt::format("{}, {} rows of {}x{}{}{} at {}{} of {}, base {}", c.layout, c.rows, c.heads, c.head_dim,
                      c.dims > 0 ? fmt::format(", dims {}", c.dims) : "",
                      fmt::format("{}{}", c.freq_factors.empty() ? "" : ", factors", c.scale == 1 ? "" : ", scaled"),
                      c.own.empty() ? "" : "places of their own from ", c.position, c.context, c.base),
          std::move(b).finish(),
          {{"tokens", c.rows}, {"context", c.context}},
          {{"position", c.own.empty() ? std::vector<double>{c.position} : c.own}}};
}

}  // namespace

std::vector<OpCase> cases_rotary() {
  std::vector<OpCase> cases;
  for (const std::string layout : {"half", "interleaved"}) {
    for (const double position : {0.0, 1.0, 255.0, 256.0, 257.0, 1023.0, 4095.0}) {
      cases.push_back(rotary({.layout = layout, .head_dim = 64, .position = position}));
    }
    // Rows that cross from one coarse position to the next, and the last of the context.
    cases.push_back(rotary({.layout = layout, .rows = 9, .heads = 3, .head_dim = 16, .position = 251}));
    cases.push_back(rotary({.layout = layout, .rows = 67, .heads = 3, .head_dim = 16, .position = 17}));
    cases.push_back(rotary({.layout = layout, .rows = 33, .heads = 1, .head_dim = 6, .position = 4063}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 2, .position = 5}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 16, .dims = 4, .position = 100}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 7, .dims = 6, .position = 100}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 5, .dims = 2, .position = 100}));
    cases.push_back(rotary({.layout = layout, .rows = 3, .head_dim = 128, .position = 2000, .base = 500000.0}));
    cases.push_back(
        rotary({.layout = layout, .rows = 2, .head_dim = 8, .position = 3000, .freq_factors = {1.0, 2.5, 8.0, 0.5}}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 8, .dims = 6, .position = 300, .scale = 1.3}));
    // A context of no whole number of coarse steps, and one position alone.
    cases.push_back(rotary({.layout = layout, .rows = 5, .position = 295, .context = 300}));
    cases.push_back(rotary({.layout = layout, .context = 1}));
    cases.push_back(rotary({.layout = layout, .rows = 2, .head_dim = 64, .position = 131070, .context = 131072}));
    cases.push_back(rotary({.layout = layout, .rows = 0}));
    // Rows of several sequences, one of them padding.
    cases.push_back(rotary({.layout = layout, .rows = 4, .head_dim = 6, .position = 7, .own = {7, 4095, -1, 0}}));
    cases.push_back(rotary({.layout = layout, .rows = 3, .head_dim = 23, .dims = 22, .position = 9}));
    cases.back().name += ", special values";
    for (int i = 0; i < 3 * 2 * 23; ++i) cases.back().values["x"].push_back(i % 9 - 4.0);
    cases.back().values["x"][5] = kNotANumber;  // of a pair of elements
    cases.back().values["x"][46 + 23 + 1] = kInfinity;
    cases.back().values["x"][22] = -kInfinity;  // which is not turned
  }
  return cases;
}

}  // namespace heed::op_cases
