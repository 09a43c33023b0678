// cases matmul: sizes around a tile and of none, one dimension, broadcasting, transposed operands, long sums.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase matmul(const SymbolicShape& a, const SymbolicShape& z, const Attributes& attributes = {}) {
  GraphBuilder b("matmul");
  b.output(b.add("matmul", "m", {b.input("a", DType::F32, a), b.input("b", DType::F32, z)}, attributes), "y");
  std::string name = fmt::format("{} {}", to_string(a), to_string(z));
  for (const auto& attribute : attributes) name += " " + attribute.first;
  return {name, std::move(b).finish(), {}, {}};
}

/// Sums of `least` to `most`, which f32 would not hold exactly.
OpCase integers(const SymbolicShape& a, const SymbolicShape& z, std::int64_t most, const Attributes& attributes = {}) {
  GraphBuilder b("matmul");
  b.output(b.add("matmul", "m", {b.input("a", DType::I32, a), b.weight("b", DType::I32, z)}, attributes), "y");
  OpCase c{fmt::format("i32 {} {} to {}", to_string(a), to_string(z), most), std::move(b).finish(), {}, {}};
  for (const auto& [name, shape] : {std::pair("a", a), std::pair("b", z)}) {
    std::int64_t state = name[0];
    for (std::int64_t i = element_count(bind(shape, {})); i > 0; --i) {
      state = (state * 1103515245 + 12345) % 2147483648;  // of ANSI C's rand
      c.values[name].push_back(static_cast<double>(most - state % (most / 8)));
    }
  }
  return c;
}

}  // namespace

std::vector<OpCase> cases_matmul() {
  const std::int64_t one = 1;
  const std::int64_t none = 0;
  const Attributes left = {{"transpose_a", one}};
  const Attributes right = {{"transpose_b", one}, {"alpha", 0.125}};
  const Attributes both = {{"transpose_a", one}, {"transpose_b", one}};
  std::vector<OpCase> cases;
  cases.push_back(matmul({1, 1}, {1, 1}));
  cases.push_back(matmul({3, 5}, {5, 7}));
  cases.push_back(matmul({4, 8}, {8, 4}));
  cases.push_back(matmul({64, 32}, {32, 128}));
  cases.push_back(matmul({67, 33}, {33, 131}));
  cases.push_back(matmul({200, 12}, {12, 4}));  // narrow
  cases.push_back(matmul({200, 12}, {12, 9}));
  cases.push_back(matmul({1, 300}, {300, 400}));
  cases.push_back(matmul({300, 100}, {100, 1}));
  cases.push_back(matmul({5}, {5}));
  cases.push_back(matmul({5}, {2, 5, 3}));
  cases.push_back(matmul({2, 3, 5}, {5}));
  cases.push_back(matmul({2, 3, 4}, {4, 6}));
  cases.push_back(matmul({2, 1, 3, 4}, {5, 4, 6}));
  cases.push_back(matmul({2, 1, 2, 1, 2, 1, 3, 4}, {1, 2, 1, 2, 1, 2, 4, 4}));  // six loops
  cases.push_back(matmul({2, 1, 8, 16}, {3, 8, 16}, right));
  for (const Attributes& attributes : {left, right, both}) {
    const bool a = attributes.has("transpose_a");
    const bool b = attributes.has("transpose_b");
    cases.push_back(matmul(a ? SymbolicShape{12, 20} : SymbolicShape{20, 12},
                           b ? SymbolicShape{16, 12} : SymbolicShape{12, 16}, attributes));
    cases.push_back(matmul(a ? SymbolicShape{2, 7, 9} : SymbolicShape{2, 9, 7},
                           b ? SymbolicShape{2, 5, 7} : SymbolicShape{2, 7, 5}, attributes));
  }
  cases.push_back(matmul({3, none}, {none, 4}));
  cases.push_back(matmul({none, 3}, {3, 4}));
  cases.push_back(matmul({none, 2, 3}, {3, 4}));
  cases.push_back(matmul({1, 262300}, {262300, 4}));  // more than a loop of older llvmpipe
  cases.push_back(matmul({2, 3, 1000}, {1000, 2}));   // sums in parts
  // More workgroups than one dimension of the smallest device has, of matrices and of the rows of one; small sums.
  cases.push_back(matmul({65600, 1, 2}, {2, 3}));
  cases.push_back(matmul({65600, 1, 2}, {65600, 2, 1}));
  for (const std::int64_t width : {3, 4}) {
    // Rows with NaN, an infinity, zeros and denormals leave the others as they are.
    cases.push_back(matmul({9, width}, {width, 7}));
    cases.back().name += ", special values";
    std::vector<double>& a = cases.back().values["a"];
    for (std::int64_t i = 0; i < 9 * width; ++i) a.push_back(static_cast<double>(i % 7) - 2.5);
    a[static_cast<std::size_t>(2 * width - 1)] = kNotANumber;
    a[static_cast<std::size_t>(3 * width)] = kInfinity;
    for (std::int64_t i = 0; i < width; ++i) {
      a[static_cast<std::size_t>(5 * width + i)] = -0.0;
      a[static_cast<std::size_t>(6 * width + i)] = kLargestDenormal;
    }
  }
  cases.push_back(integers({3, 5}, {5, 7}, 127));
  cases.push_back(integers({67, 33}, {33, 131}, 255));
  cases.push_back(integers({2, 1, 9, 300}, {3, 300, 8}, 65535));  // wraps around
  cases.push_back(integers({5}, {2, 5, 3}, 255));
  cases.push_back(integers({20, 7}, {20, 12}, 255, left));
  cases.push_back(integers({3, none}, {none, 4}, 255));
  cases.push_back(integers({200, 12}, {12, 4}, 255));
  cases.push_back(integers({2, 3, 40000}, {40000, 2}, 255));  // sums in parts
  {
    GraphBuilder b("matmul");
    const ValueId x = b.input("x", DType::F32, {9, 32});
    b.output(b.add("matmul", "m", {x, b.weight("w", DType::Q8_0, {32, 32})}), "y");
    b.output(b.add("matmul", "n", {x, x}, {{"transpose_b", one}}), "z");
    cases.push_back({"a q8_0 weight, one value twice", std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
