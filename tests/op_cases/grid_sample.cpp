// cases grid_sample: modes and paddings, over one to three dimensions, inside, outside, and far outside.
#include <fmt/format.h>

#include <cmath>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

std::vector<OpCase> cases_grid_sample() {
  std::vector<OpCase> cases;
  using Sizes = std::vector<std::int64_t>;
  const auto add = [&](const Sizes& x, const Sizes& grid, const std::string& mode, const std::string& padding,
                       std::int64_t corners) {
    GraphBuilder b("grid_sample");
    b.output(b.add("grid_sample", "g",
                   {b.input("x", DType::F32, SymbolicShape(x.begin(), x.end())),
                    b.input("grid", DType::F32, SymbolicShape(grid.begin(), grid.end()))},
                   {{"mode", mode}, {"padding_mode", padding}, {"align_corners", corners}}),
             "y");
    OpCase c{fmt::format("{} {} {} {}{}", to_string(x), to_string(grid), mode, padding, corners ? " corners" : ""),
             std::move(b).finish(),
             {},
             {}};
    std::int64_t count = 1;
    for (const std::int64_t size : grid) count *= size;
    // From -2.3 to 2.3, off the edges between elements.
    for (std::int64_t i = 0; i < count; ++i) {
      const double at = std::fmod(static_cast<double>(i) * 0.6180339887, 1.0) * 4.6 - 2.3;
      c.values["grid"].push_back(std::round(at * 64.0) / 64.0 + 1.0 / 1024.0);
    }
    cases.push_back(std::move(c));
  };
  for (const std::string mode : {"nearest", "linear", "cubic"}) {
    for (const std::string padding : {"zeros", "border", "reflection"}) {
      for (const std::int64_t corners : {0, 1}) {
        add({2, 3, 5, 6}, {2, 7, 9, 2}, mode, padding, corners);
        add({1, 2, 4, 5, 3}, {1, 3, 4, 5, 3}, mode, padding, corners);
        add({1, 2, 7}, {1, 20, 1}, mode, padding, corners);
        add({1, 1, 1, 2}, {1, 5, 5, 2}, mode, padding, corners);
      }
    }
    add({2, 3, 13, 11}, {2, 17, 19, 2}, mode, "zeros", 0);
    add({0, 3, 4, 4}, {0, 5, 5, 2}, mode, "zeros", 0);
    add({1, 3, 4, 4}, {1, 0, 5, 2}, mode, "zeros", 0);
    add({1, 1, 4, 4}, {1, 1, 4, 2}, mode, "zeros", 0);
    cases.back().values["grid"] = {1e30, 0.1, -1e30, 0.1, 0.1, 1e20, -1.0, 1.0};
    cases.back().name += ", far outside";
  }
  return cases;
}

}  // namespace heed::op_cases
