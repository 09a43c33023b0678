// cases linear: products with every weight type, epilogue, number of rows and odd width; what fusion makes of gates and
// norms; weights that are cut into pieces.
#include <fmt/format.h>

#include <cmath>

#include "graph/integer.h"
#include "graph/quantised.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

constexpr const char* kActivations[] = {"silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid"};

/// Rows of quantised types are whole blocks.
std::int64_t whole_blocks(DType dtype, std::int64_t columns) {
  const std::int64_t block = dtype_info(dtype).block_elements;
  return ceil_div(columns, block) * block;
}

struct Linear {
  DType dtype = DType::F32;
  std::int64_t rows = 1;
  std::int64_t columns = 64;
  std::int64_t n = 33;
  bool bias = false;
  bool residual = false;
  std::string activation = "none";
  std::int64_t most_rows = 0;  // that a row must agree with
  std::int64_t halves = 2;
};

OpCase linear(Linear c) {
  c.columns = whole_blocks(c.dtype, c.columns);
  GraphBuilder b("linear");
  const ValueId x = b.input("x", DType::F32, {c.rows, c.columns});
  const ValueId w = b.weight("w", c.dtype, {c.n, c.columns});
  const ValueId bias = c.bias ? b.weight("bias", DType::F32, {c.n}) : kNoValue;
  const ValueId residual = c.residual ? b.input("residual", DType::F32, {c.rows, c.n}) : kNoValue;
  Attributes attributes{{"activation", c.activation}};
  if (c.most_rows > 0) attributes.set("most_rows", c.most_rows);
  if (c.halves != 2) attributes.set("halves", c.halves);
  b.output(b.add("linear", "linear", {x, w, bias, residual}, attributes), "y");
  return {fmt::format("{} {}x{} -> {}{}{}{}{}{}", dtype_name(c.dtype), c.rows, c.columns, c.n, c.bias ? ", bias" : "",
                      c.activation == "none" ? "" : ", " + c.activation, c.residual ? ", residual" : "",
                      c.most_rows == 0 ? "" : fmt::format(", at most {} rows", c.most_rows),
                      c.halves == 2 ? "" : ", x as one half"),
          std::move(b).finish(),
          {},
          {}};
}

/// gate(x A^T, x B^T), which becomes one product. With `norm`, x is normalised first, which goes into it for one row.
OpCase gated(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t n, bool bias,
             const std::string& activation, bool norm) {
  columns = whole_blocks(dtype, columns);
  GraphBuilder b("gated");
  ValueId x = b.input("x", DType::F32, {rows, columns});
  if (norm) {
    x = b.add("rms_norm", "norm", {x, b.weight("norm.weight", DType::F32, {columns})}, {{"eps", 1e-5}});
  }
  const auto product = [&](const std::string& name) {
    return b.add("linear", name,
                 {x, b.weight(name + ".weight", dtype, {n, columns}),
                  bias ? b.weight(name + ".bias", DType::F32, {n}) : kNoValue});
  };
  const ValueId a = product("a");
  b.output(b.add("gate", "gate", {a, product("b")}, {{"activation", activation}}), "y");
  return {fmt::format("{} {}x{} -> {}, gate {}{}{}", dtype_name(dtype), rows, columns, n, activation,
                      bias ? ", bias" : "", norm ? ", norm" : ""),
          std::move(b).finish(),
          {},
          {}};
}

struct Pair {
  DType dtype = DType::F32;
  std::int64_t columns = 64;
  std::int64_t hidden = 64;
  std::int64_t width = 33;
  std::string gate = "";  // none
  std::string activation = "none";
  bool norm = false;
  bool bias = false;
};

/// A product of what another product made, for one row and with x as residual, which becomes one dispatch where the
/// device does that.
OpCase pair(Pair c) {
  const bool as_wide = c.width == c.columns;
  c.columns = whole_blocks(c.dtype, c.columns);
  c.hidden = whole_blocks(c.dtype, c.hidden);
  if (as_wide) c.width = c.columns;
  GraphBuilder b("pair");
  ValueId x = b.input("x", DType::F32, {1, c.columns});
  const ValueId residual = c.width == c.columns ? x : b.input("residual", DType::F32, {1, c.width});
  if (c.norm) x = b.add("rms_norm", "norm", {x, b.weight("norm.weight", DType::F32, {c.columns})}, {{"eps", 1e-5}});
  const auto product = [&](const std::string& name, const std::string& activation) {
    return b.add("linear", name,
                 {x, b.weight(name + ".weight", c.dtype, {c.hidden, c.columns}),
                  c.bias ? b.weight(name + ".bias", DType::F32, {c.hidden}) : kNoValue},
                 {{"activation", activation}});
  };
  ValueId h = product("first", c.activation);
  if (!c.gate.empty()) h = b.add("gate", "gate", {h, product("other", "none")}, {{"activation", c.gate}});
  b.output(b.add("linear", "second",
                 {h, b.weight("second.weight", c.dtype, {c.width, c.hidden}),
                  c.bias ? b.weight("second.bias", DType::F16, {c.width}) : kNoValue, residual}),
           "y");
  return {fmt::format("pair {} {} -> {} -> {}{}{}{}{}", dtype_name(c.dtype), c.columns, c.hidden, c.width,
                      c.gate.empty() ? "" : ", gate " + c.gate, c.activation == "none" ? "" : ", " + c.activation,
                      c.norm ? ", norm" : "", c.bias ? ", bias" : ""),
          std::move(b).finish(),
          {},
          {}};
}

/// One norm feeding two products, one of them with everything else besides.
OpCase normed(DType dtype, std::int64_t rows, std::int64_t columns, double eps) {
  columns = whole_blocks(dtype, columns);
  GraphBuilder b("normed");
  const ValueId x = b.input("x", DType::F32, {rows, columns});
  const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("norm.weight", DType::F16, {columns})}, {{"eps", eps}});
  const ValueId residual = b.input("residual", DType::F32, {rows, 33});
  b.output(b.add("linear", "first",
                 {normed, b.weight("w1", dtype, {33, columns}), b.weight("b1", DType::F32, {33}), residual},
                 {{"activation", "silu"}}),
           "y1");
  b.output(b.add("linear", "second", {normed, b.weight("w2", dtype, {3, columns})}), "y2");
  return {fmt::format("{} {}x{} after a norm, eps {}", dtype_name(dtype), rows, columns, eps),
          std::move(b).finish(),
          {},
          {}};
}

/// Weights of bf16 and f32 may be of any magnitude: large and small ones in a row side by side, all of a row large, or
/// small. Below 2^-95 those of f32 may lose bits (shaders/linear_cooperative.comp).
void add_weights_of_all_magnitudes(std::vector<OpCase>& cases) {
  for (const DType dtype : {DType::BF16, DType::F32}) {
    for (const std::int64_t rows : {1, 9}) {
      OpCase c = linear({.dtype = dtype, .rows = rows, .columns = 72, .n = 9});
      c.name += ", weights of all magnitudes";
      const int least = dtype == DType::F32 ? -94 : -100;
      for (int n = 0; n < 9; ++n) {
        for (int i = 0; i < 72; ++i) {
          const int exponent = n < 3 ? i * 29 % 60 - 30 : n < 5 ? 110 : n < 7 ? least : i < 36 ? 100 : least;
          c.values["w"].push_back(std::ldexp(1.0 + i * 37 % 128 / 128.0, exponent) * (i % 3 == 0 ? -1.0 : 1.0));
        }
      }
      cases.push_back(c);
      // Small rows of x make of them what is no infinity, although the products of what fits f16 would.
      c.name += ", of small x";
      for (std::int64_t i = 0; i < rows * 72; ++i) {
        c.values["x"].push_back(std::ldexp(static_cast<double>(i * 7 % 19) - 9.0, i < 144 ? -20 : 3));
      }
      cases.push_back(std::move(c));
    }
  }
}

}  // namespace

std::vector<OpCase> cases_linear() {
  std::vector<OpCase> cases;
  for (const DType dtype : matrix_types()) {
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 9, 64}) {
      cases.push_back(linear({.dtype = dtype, .rows = rows, .columns = 288, .n = 33, .bias = rows % 2 == 1}));
    }
    for (const std::int64_t n : {1, 3, 288}) {
      cases.push_back(linear({.dtype = dtype, .rows = 1, .n = n, .residual = true}));
      cases.push_back(linear({.dtype = dtype, .rows = 9, .n = n, .residual = true}));
    }
    // One block, and an odd number of words for the lanes.
    cases.push_back(linear({.dtype = dtype, .rows = 1, .columns = 32, .n = 5}));
    cases.push_back(linear({.dtype = dtype, .rows = 6, .columns = 32, .n = 5}));
    cases.push_back(linear({.dtype = dtype, .rows = 1, .columns = 2016, .n = 7}));
    // Tiles of 16 rows, whole and not, with all that comes with them.
    for (const std::int64_t rows : {17, 31}) {
      cases.push_back(linear({.dtype = dtype, .rows = rows, .columns = 64, .n = 45, .bias = true, .residual = true}));
    }
    for (const std::int64_t rows : {1, 3, 7, 18}) {
      cases.push_back(gated(dtype, rows, 96, 35, rows == 3, "silu", false));
      cases.push_back(gated(dtype, rows, 64, 1, true, "gelu_tanh", true));
    }
    cases.push_back(normed(dtype, 1, 288, 1e-5));
    cases.push_back(normed(dtype, 2, 64, 1e-6));
    // Long loops along k.
    for (const std::int64_t rows : {1, 8, 16}) {
      cases.push_back(linear({.dtype = dtype, .rows = rows, .columns = 65536, .n = 3}));
    }
  }
  for (const DType dtype : matrix_types()) {
    cases.push_back(pair({.dtype = dtype, .columns = 288, .hidden = 768, .width = 288, .gate = "silu", .norm = true}));
  }
  // Each of these is seconds of compilation on CPU drivers.
  cases.push_back(
      pair({.dtype = DType::Q8_0, .columns = 96, .hidden = 320, .width = 7, .activation = "relu", .bias = true}));
  cases.push_back(pair({.hidden = 32, .width = 300, .gate = "gelu", .norm = true, .bias = true}));
  // Not whole chunks, so not in one dispatch.
  cases.push_back(pair({.columns = 32, .hidden = 20, .width = 5}));
  // More texels than "small limits" allows, in rows of no whole vectors.
  cases.push_back(linear({.rows = 1, .columns = 45, .n = 67}));
  cases.push_back(linear({.rows = 5, .columns = 45, .n = 67}));
  // Longer rows than some drivers let a loop run.
  cases.push_back(linear({.rows = 4, .columns = 270336, .n = 3}));
  // More output columns than workgroups in one dimension.
  for (const DType dtype : {DType::F32, DType::Q4_0}) {
    cases.push_back(linear({.dtype = dtype, .rows = 1, .columns = 32, .n = 65537, .bias = true}));
  }
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
    for (const std::int64_t columns : {1, 3, 5, 36, 44, 172}) {
      cases.push_back(linear({.dtype = dtype, .rows = 1, .columns = columns, .n = 33}));
      cases.push_back(linear({.dtype = dtype, .rows = 5, .columns = columns, .n = 33, .bias = true}));
    }
    cases.push_back(linear({.dtype = dtype, .rows = 19, .columns = 45, .n = 35, .bias = true, .residual = true}));
    cases.push_back(gated(dtype, 1, 5, 3, true, "gelu", true));
    cases.push_back(gated(dtype, 8, 5, 3, true, "gelu", true));
    cases.push_back(normed(dtype, 1, 172, 0.5));
  }
  for (const char* activation : kActivations) {
    const std::string name = activation;
    cases.push_back(linear({.rows = 1, .bias = true, .residual = true, .activation = name}));
    cases.push_back(linear({.rows = 11, .bias = true, .residual = true, .activation = name}));
    cases.push_back(gated(DType::F16, 1, 36, 5, true, name, false));
    cases.push_back(gated(DType::F16, 4, 36, 5, false, name, false));
  }
  cases.push_back(linear({.rows = 64, .columns = 36, .n = 70001, .activation = "relu"}));
  // Sums long enough to be cut (ProductTuning::tile_groups), with all that is made of them then.
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q4_0, DType::Q4_K, DType::Q2_K}) {
    cases.push_back(linear(
        {.dtype = dtype, .rows = 5, .columns = 1056, .n = 37, .bias = true, .residual = true, .activation = "silu"}));
    cases.push_back(gated(dtype, 9, 2080, 20, true, "gelu", false));
  }
  // A row of x whose bytes are more than the shared memory that every device has.
  for (const DType dtype : {DType::Q8_0, DType::Q4_K, DType::Q6_K}) {
    cases.push_back(linear({.dtype = dtype, .rows = 1, .columns = 7168, .n = 5}));
  }
  // The tallest tiles, whole and with a row more.
  for (const DType dtype :
       {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q2_K, DType::Q6_K}) {
    cases.push_back(linear({.dtype = dtype, .rows = 129, .columns = 64, .n = 130}));
  }
  cases.push_back(gated(DType::Q2_K, 129, 256, 65, false, "silu", false));
  cases.push_back(linear({.dtype = DType::Q4_K, .rows = 128, .columns = 256, .n = 128, .halves = 1}));
  // Rows of x that may be rounded.
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_K, DType::Q2_K}) {
    cases.push_back(linear({.dtype = dtype, .rows = 5, .columns = 1056, .n = 37, .bias = true, .halves = 1}));
    cases.push_back(linear({.dtype = dtype, .rows = 35, .columns = 64, .n = 70, .residual = true, .halves = 1}));
  }
  // A row of x with NaN, one with an infinity, one of zeros and one of denormals leave the others as they are.
  for (const std::int64_t rows : {1, 5, 9}) {
    for (const std::int64_t columns : {36, 45}) {
      OpCase c = linear({.rows = rows, .columns = columns, .n = 33, .bias = true, .activation = "relu"});
      c.name += ", special values";
      std::vector<double>& x = c.values["x"];
      for (std::int64_t i = 0; i < rows * columns; ++i) x.push_back(static_cast<double>(i * 7 % 19) / 9.0 - 1.0);
      if (rows == 1) x.back() = kNotANumber;
      for (std::int64_t i = 0; rows > 1 && i < columns; ++i) {
        x[static_cast<std::size_t>(3 * columns + i)] = i % 2 == 0 ? 0.0 : -0.0;
        x[static_cast<std::size_t>(4 * columns + i)] = i % 2 == 0 ? kLeastDenormal : -kLargestDenormal;
      }
      if (rows > 1) x[static_cast<std::size_t>(2 * columns - 1)] = kNotANumber;
      if (rows > 1) x[static_cast<std::size_t>(2 * columns)] = kInfinity;
      cases.push_back(std::move(c));
    }
  }
  // Weights that are denormals of their own type are ordinary floats.
  for (const std::int64_t rows : {1, 9}) {
    OpCase c = linear({.dtype = DType::F16, .rows = rows, .columns = 40, .n = 9});
    c.name += ", denormal weights";
    for (int i = 0; i < 9 * 40; ++i) c.values["w"].push_back((i % 5 - 2) * 0x1p-24);
    cases.push_back(std::move(c));
  }
  add_weights_of_all_magnitudes(cases);
  // Scales of blocks that are denormals of f16 are ordinary floats.
  for (const DType dtype : matrix_types()) {
    if (quantised_type(dtype) == nullptr) continue;
    for (const std::int64_t rows : {1, 9}) {
      OpCase c = linear({.dtype = dtype, .rows = rows, .columns = 64, .n = 9});
      c.name += ", denormal scales";
      const std::int64_t columns = whole_blocks(dtype, 64);
      for (std::int64_t i = 0; i < 9 * columns; ++i) {
        c.values["w"].push_back(static_cast<double>(i * 37 % 101 - 50) * 0x1p-18);  // to 2e-4
      }
      cases.push_back(std::move(c));
    }
  }
  for (const DType dtype : matrix_types()) {
    if (quantised_type(dtype) == nullptr) continue;
    // Steps of a few texts, whose rows must agree with fewer and with eight.
    for (const std::int64_t rows : {1, 2, 3, 5, 8}) {
      Linear c = {.dtype = dtype, .rows = rows, .columns = 320, .n = 37, .bias = true, .most_rows = 8};
      if (rows != 2) c.activation = "gelu";
      c.residual = rows == 3 || rows == 8;
      cases.push_back(linear(c));
    }
    cases.push_back(linear({.dtype = dtype, .rows = 2, .columns = 64, .n = 301, .most_rows = 9}));
    // Rows of zeros, of the largest and the smallest floats, of one number among far smaller ones, and of numbers that
    // are none: beside them the others are what they are alone.
    for (const std::int64_t rows : {1, 3, 8}) {
      OpCase c = linear({.dtype = dtype, .rows = rows, .columns = 256, .n = 9, .bias = rows == 8, .most_rows = 8});
      c.name += ", special values";
      std::vector<double>& x = c.values["x"];
      for (std::int64_t i = 0; i < rows * 256; ++i) x.push_back(static_cast<double>(i * 7 % 19) / 9.0 - 1.0);
      const auto set = [&](std::int64_t row, const auto& value) {
        for (std::int64_t i = 0; row < rows && i < 256; ++i) {
          x[static_cast<std::size_t>(row * 256 + i)] = value(i, x[static_cast<std::size_t>(row * 256 + i)]);
        }
      };
      set(0, [](std::int64_t i, double v) { return i == 77 ? 1e6 : v; });
      set(1, [](std::int64_t i, double v) { return i < 100 ? (i % 2 == 0 ? 0.0 : -0.0) : v; });
      set(2, [](std::int64_t, double v) { return v * 1e34; });
      set(3, [](std::int64_t i, double v) { return i == 200 ? kNotANumber : v; });
      set(4, [](std::int64_t i, double v) { return i >= 32 && i < 64 ? (i % 2 == 0 ? kInfinity : -kInfinity) : v; });
      set(5, [](std::int64_t i, double v) { return v * (i < 128 ? 1e-30 : 1e-20); });
      set(6, [](std::int64_t i, double) { return i % 2 == 0 ? kLeastDenormal : -kLargestDenormal; });
      cases.push_back(std::move(c));
    }
  }
  cases.push_back(linear({.rows = 0, .bias = true}));
  cases.push_back(linear({.rows = 1, .n = 0}));
  cases.push_back(gated(DType::Q8_0, 0, 64, 3, false, "silu", true));
  {
    // Three dimensions, and a weight used twice.
    GraphBuilder b("stacked");
    const ValueId x = b.input("x", DType::F32, {2, "tokens", 36});
    const ValueId w = b.weight("w", DType::F32, {36, 36});
    const ValueId once = b.add("linear", "once", {x, w});
    b.output(b.add("linear", "twice", {once, w, kNoValue, x}), "y");
    cases.push_back({"f32 [2, 3, 36], one weight twice", std::move(b).finish(), {{"tokens", 3}}, {}});
  }
  {
    // All of a block's numbers at the ends of its range, and a block of zeros.
    OpCase c = linear({.dtype = DType::Q8_0, .rows = 1, .columns = 64, .n = 2});
    c.name += ", extreme quants";
    std::vector<double> w(128, 0.0);
    for (std::size_t i = 0; i < 32; ++i) w[i] = i % 2 == 0 ? 127.0 : -127.0;
    for (std::size_t i = 64; i < 96; ++i) w[i] = -1e-3;
    c.values["w"] = w;
    cases.push_back(c);
    c.graph.value(c.graph.find("w")).dtype = DType::Q4_0;
    c.name = "q4_0 1x64 -> 2, extreme quants";
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace heed::op_cases
