// cases elementwise: every function over ordinary, tiny and huge numbers; broadcasting of every kind.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/functions.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase unary(const std::string& op, const std::string& what, std::vector<double> x) {
  GraphBuilder b("unary");
  const auto count = static_cast<std::int64_t>(x.size());
  b.output(b.add(op, "f", {b.input("x", DType::F32, {count})}), "y");
  return {op + ", " + what, std::move(b).finish(), {}, {{"x", std::move(x)}}};
}

OpCase binary(const std::string& op, const SymbolicShape& a, const SymbolicShape& z,
              const std::string& activation = "") {
  GraphBuilder b("binary");
  Attributes attributes;
  if (!activation.empty()) attributes.set("activation", activation);
  b.output(b.add(op, "f", {b.input("a", DType::F32, a), b.input("b", DType::F32, z)}, attributes), "y");
  return {fmt::format("{}{}{} {} {}", op, activation.empty() ? "" : " ", activation, to_string(a), to_string(z)),
          std::move(b).finish(),
          {},
          {}};
}

/// A function and what is made of its result at once, with broadcasting of each operand.
void add_functions_of_functions(std::vector<OpCase>& cases) {
  const auto add = [&](const std::string& op, const std::vector<SymbolicShape>& shapes, const std::string& then,
                       Attributes attributes = {}) {
    GraphBuilder b("then");
    std::vector<ValueId> operands;
    std::string name = op + " then " + then;
    for (const SymbolicShape& shape : shapes) {
      operands.push_back(b.input(fmt::format("x{}", operands.size()), DType::F32, shape));
      name += " " + to_string(shape);
    }
    attributes.set("then", then);
    b.output(b.add(op, "f", operands, std::move(attributes)), "y");
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  for (const char* then : {"add", "mul"}) {
    add("mul", {{2, 3, 8}, {3, 1}, {1, 3, 8}}, then);  // by vectors
    add("mul", {{2, 3, 8}, {8}, {2, 1, 1}}, then);     // of which one has an element for four
    add("sub", {{5, 7}, {7}, {5, 1}}, then);
    add("add", {{3, 1}, {1, 5}, {3, 5}}, then);
    add("mul", {{1}, {1}, {1}}, then);
    add("mul", {{std::int64_t{0}, 4}, {4}, {1}}, then);
    add("mul", {{2, 3, 4, 5, 6, 7}, {2, 1, 4, 1, 6, 1}, {1, 3, 1, 5, 1, 7}}, then);
    add("sigmoid", {{4, 6}, {6}}, then);
    add("leaky_relu", {{4, 5}, {4, 1}}, then, {{"alpha", 0.2}});
    add("gate", {{4, 8}, {4, 8}, {8}}, then, {{"activation", "silu"}});
  }
}

/// What ONNX asks for besides the activations, where each is defined and where it is not.
void add_functions(std::vector<OpCase>& cases, const std::vector<double>& ordinary,
                   const std::vector<double>& near_zero) {
  for (const std::string op : {"abs",
                               "ceil",
                               "floor",
                               "round",
                               "sign",
                               "sin",
                               "cos",
                               "atan",
                               "asinh",
                               "erf",
                               "softplus",
                               "softsign",
                               "elu",
                               "celu",
                               "selu",
                               "leaky_relu",
                               "hard_sigmoid",
                               "hard_swish",
                               "thresholded_relu",
                               "shrink",
                               "mish",
                               "swish",
                               "isnan",
                               "isinf"}) {
    cases.push_back(unary(op, "-10 to 10", ordinary));
    cases.push_back(unary(op, "near zero", near_zero));
  }
  for (const std::string op : {"tan", "sinh", "cosh"}) cases.push_back(unary(op, "near zero", near_zero));
  cases.push_back(unary("sinh", "-10 to 10", ordinary));
  cases.push_back(unary("cosh", "-10 to 10", ordinary));
  cases.push_back(unary("tan", "-1.5 to 1.5", {-1.5, -1.0, -0.7, -0.3, 0.0, 0.3, 0.7, 1.0, 1.5}));
  cases.push_back(unary("sin", "large", {100.0, -1000.0, 12345.0, 1e5, kInfinity}));
  cases.push_back(unary("cos", "large", {100.0, -1000.0, 12345.0, 1e5, -kInfinity}));
  const std::vector<double> unit = {-1.0, -0.999, -0.75, -0.5, -0.25, -0.001, 0.0,
                                    1e-5, 0.3,    0.5,   0.7,  0.999, 1.0,    1.5};
  for (const std::string op : {"asin", "acos", "atanh"}) cases.push_back(unary(op, "-1 to 1", unit));
  cases.push_back(unary("acosh", "1 to 1e10", {1.0, 1.0001, 1.5, 2.0, 10.0, 1e3, 1e10, 0.5}));
  cases.push_back(unary("log", "0 to 1e30", {0.0, 1e-30, 0.1, 0.5, 0.9, 0.999, 1.0, 1.001, 1.2, 2.0, 1e30, -1.0}));
  cases.push_back(unary("log", "near one", {0.998, 0.9999, 1.0, 1.0001, 1.002}));
  cases.push_back(unary("reciprocal", "", {0.5, -4.0, 1e10, kInfinity, 0.0}));
  cases.push_back(unary("atan", "large", {1e3, -1e10, kInfinity, -kInfinity, 2.4, 2.5, 0.41, 0.42}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::string op : {"isnan", "isinf"}) {
    cases.push_back(unary(op, "of none and infinities", {nan, kInfinity, -kInfinity, 0.0, -1.0, 3e38}));
  }
  for (const std::string op :
       {"pow", "mod", "fmod", "prelu", "equal", "less", "less_equal", "greater", "greater_equal"}) {
    cases.push_back(binary(op, {3, 5}, {5}));
    cases.back().name += ", signs";
    cases.back().values = {{"a", {1, -2, 3, -4, 0, 5.5, 2, 2, -7, 6, 0.5, 10, 100, 0, -1}}, {"b", {2, -2, 3, -3, 1}}};
  }
  cases.push_back(binary("pow", {8}, {8}));
  cases.back().name += ", fractions";
  cases.back().values = {{"a", {2.0, 0.5, 10.0, 0.0, 3.0, 1.0, -8.0, 100.0}},
                         {"b", {0.5, 2.5, -1.5, 0.5, 70.0, 1e10, 1.0 / 3.0, 0.0}}};
  for (const std::string to : {"f16", "bf16", "f64", "bool", "i32", "i8", "u8"}) {
    GraphBuilder b("cast");
    b.output(b.add("cast", "c", {b.input("x", DType::F32, {12})}, {{"to", to}}), "y");
    cases.push_back({"cast f32 to " + to,
                     std::move(b).finish(),
                     {},
                     {{"x", {0.0, 1.0, -1.0, 2.5, -2.7, 3.14159265, 100.7, 1e-6, 65504.0, 1e-8, 0.1, -0.333}}}});
    if (to == "i8" || to == "u8")
      cases.back().values["x"] = {0.0, 1.0, -1.0, 2.5, -2.7, 3.1, 100.7, 127.0, 126.9, 0.999, 5, 7};
  }
}

void add_integers(std::vector<OpCase>& cases) {
  const std::vector<double> left = {7, -7, 0, 1, 100, -100, 31, 5};
  const std::vector<double> right = {2, 2, 3, -1, 7, 7, 31, -3};
  for (const DType type : {DType::I32, DType::U8, DType::I8}) {
    const auto values = [&](const std::vector<double>& from) {
      std::vector<double> wrapped;
      for (const double value : from) wrapped.push_back(wrap_integer(type, value));
      return wrapped;
    };
    for (const std::string op : {"add", "sub", "mul", "div", "max", "min", "mod", "fmod", "pow", "equal", "less",
                                 "greater", "bitwise_and", "bitwise_or", "bitwise_xor", "and", "or", "xor"}) {
      GraphBuilder b("integers");
      b.output(b.add(op, "f", {b.input("a", type, {8}), b.input("b", type, {8})}), "y");
      OpCase c{fmt::format("{} of {}", op, dtype_name(type)),
               std::move(b).finish(),
               {},
               {{"a", values(left)}, {"b", values(right)}}};
      if (op == "pow") c.values["b"] = {2, 1, 0, 3, 1, 1, 1, 2};
      cases.push_back(std::move(c));
    }
    for (const std::string op : {"neg", "abs", "relu", "sign", "not", "bitwise_not"}) {
      GraphBuilder b("integers");
      b.output(b.add(op, "f", {b.input("a", type, {8})}), "y");
      cases.push_back(
          {fmt::format("{} of {}", op, dtype_name(type)), std::move(b).finish(), {}, {{"a", values(left)}}});
    }
    for (const std::string to : {"f32", "bool", "i64", "i16", "u16"}) {
      GraphBuilder b("cast");
      b.output(b.add("cast", "c", {b.input("a", type, {8})}, {{"to", to}}), "y");
      cases.push_back(
          {fmt::format("cast {} to {}", dtype_name(type), to), std::move(b).finish(), {}, {{"a", values(left)}}});
    }
  }
}

/// Every function of real numbers at the edges of float, those of two with each number for each (special_values.h).
void add_special(std::vector<OpCase>& cases) {
  const std::vector<double> special = special_values();
  std::vector<double> trigonometric = special;  // far out a device's own sine is inexact
  std::erase_if(trigonometric, [](double x) { return std::isfinite(x) && std::abs(x) > 1e4; });
  for (const ops::Function& function : ops::all_functions()) {
    const std::string op(function.name);
    if (function.domain == ops::Domain::Integer) continue;
    if (function.operands == 1) {
      const bool inexact = op == "sin" || op == "cos" || op == "tan";
      cases.push_back(unary(op, "special values", inexact ? trigonometric : special));
      continue;
    }
    std::vector<double> a = special;
    a.push_back(2.0);  // an even number of them, so that they are computed by fours
    const auto count = static_cast<std::int64_t>(a.size());
    std::vector<double> b = special_values(op == "div" ? 0x1p126 : kLargest);
    b.push_back(2.0);
    OpCase c = binary(op, {count, 1}, {count}, op == "gate" ? "relu" : "");
    c.name += ", special values";
    c.values = {{"a", std::move(a)}, {"b", std::move(b)}};
    cases.push_back(std::move(c));
  }
  {
    GraphBuilder b("clamp");
    const auto count = static_cast<std::int64_t>(special.size());
    b.output(b.add("clamp", "f", {b.input("x", DType::F32, {count})}, {{"min", -0.5}, {"max", 1.0}}), "y");
    cases.push_back({"clamp to -0.5 and 1, special values", std::move(b).finish(), {}, {{"x", special}}});
  }
  std::vector<double> halves = special;
  for (const double value : {65504.0, 65519.0, 65520.0, -65520.0, 1e5, 0x1p-14, 0x1.ffcp-15, 0x1p-24, 0x1p-25,
                             0x1.8p-25, -0x1p-26, 3.39e38}) {
    halves.push_back(value);
  }
  for (const std::string to : {"f16", "bf16", "f64", "bool"}) {
    GraphBuilder b("cast");
    const auto count = static_cast<std::int64_t>(halves.size());
    b.output(b.add("cast", "c", {b.input("x", DType::F32, {count})}, {{"to", to}}), "y");
    cases.push_back({"cast f32 to " + to + ", special values", std::move(b).finish(), {}, {{"x", halves}}});
  }
  // A remainder is exact, however large the quotient.
  for (const std::string op : {"mod", "fmod"}) {
    OpCase c = binary(op, {6, 1}, {5});
    c.name += ", large quotients";
    c.values = {{"a", {1e6 + 0.5, -1e10, 3e38, 16777217.0, 12345.678, 1e-3}}, {"b", {0.3, -3.0, 1e-10, 7.0, 1e3}}};
    cases.push_back(std::move(c));
  }
}

/// Integers at the ends of the device's range, which wrap around; quotients that do not fit are open.
void add_integer_edges(std::vector<OpCase>& cases) {
  const std::vector<double> edges = {2147483647, -2147483648, -1, 0, 1, 46341, 65537, -123456789};
  const auto count = static_cast<std::int64_t>(edges.size());
  for (const std::string op : {"add", "sub", "mul", "max", "min", "pow", "equal", "less", "less_equal", "greater",
                               "greater_equal", "bitwise_and", "bitwise_or", "bitwise_xor"}) {
    GraphBuilder b("edges");
    b.output(b.add(op, "f", {b.input("a", DType::I32, {count, 1}), b.input("b", DType::I32, {count})}), "y");
    OpCase c{op + " of i32 at its ends", std::move(b).finish(), {}, {{"a", edges}, {"b", edges}}};
    if (op == "pow") c.values["b"] = {0, 1, 2, 3, 5, -1, 31, 32};
    cases.push_back(std::move(c));
  }
  for (const std::string op : {"neg", "abs", "relu", "sign", "not", "bitwise_not"}) {
    GraphBuilder b("edges");
    b.output(b.add(op, "f", {b.input("a", DType::I32, {count})}), "y");
    cases.push_back({op + " of i32 at its ends", std::move(b).finish(), {}, {{"a", edges}}});
  }
  for (const std::string to : {"i8", "u8", "i16", "u16", "bool", "f32"}) {
    GraphBuilder b("cast");
    b.output(b.add("cast", "c", {b.input("a", DType::I32, {count})}, {{"to", to}}), "y");
    cases.push_back({"cast i32 at its ends to " + to, std::move(b).finish(), {}, {{"a", edges}}});
  }
}

}  // namespace

std::vector<OpCase> cases_elementwise() {
  std::vector<OpCase> cases;
  std::vector<double> ordinary;
  for (int i = -160; i <= 160; ++i) ordinary.push_back(i * 0.0625);
  std::vector<double> near_zero;
  for (int i = -60; i <= 60; ++i) near_zero.push_back(i * 0.001953125);
  std::vector<double> tiny;
  for (int i = 0; i <= 6; ++i) {
    tiny.push_back(std::pow(10.0, -3.0 - i));
    tiny.push_back(-std::pow(10.0, -3.0 - i));
  }
  for (const std::string op : {"silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid", "neg"}) {
    cases.push_back(unary(op, "-10 to 10", ordinary));
    // Alone, so that the largest of them sets the scale.
    cases.push_back(unary(op, "near zero", near_zero));
    cases.push_back(unary(op, "tiny", tiny));
    cases.push_back(unary(op, "large", {1e2, -1e2, 1e4, -1e4, 88.0, -88.0, 104.0, -104.0}));
    cases.push_back(unary(op, "huge", {1e20, -1e20, 3e38, -3e38, 1e13, -1e13}));
    cases.push_back(unary(op, "one", {0.5}));
    cases.push_back(unary(op, "zero", {0.0, -0.0}));
    if (op != "silu" && op != "gelu" && op != "gelu_tanh") {
      cases.push_back(unary(op, "infinities", {kInfinity, -kInfinity, 1.0}));
    }
  }
  cases.push_back(unary("exp", "-10 to 10", ordinary));
  cases.push_back(unary("exp", "below zero", {-1.0, -5.0, -20.0, -80.0, -200.0, -1e30, -kInfinity, 0.0}));
  cases.push_back(unary("exp", "overflow", {89.0, 100.0, 1e30, kInfinity, 80.0}));
  cases.push_back(unary("sqrt", "0 to 1e30", {0.0, 1.0, 2.0, 0.25, 1e-20, 1e10, 1e30, kInfinity}));
  cases.push_back(unary("neg", "none", {}));
  add_functions(cases, ordinary, near_zero);
  add_functions_of_functions(cases);
  add_integers(cases);
  add_special(cases);
  add_integer_edges(cases);

  for (const std::string op : {"add", "sub", "mul", "div", "max", "min"}) {
    cases.push_back(binary(op, {3, 5}, {3, 5}));
    cases.push_back(binary(op, {3, 5}, {5}));
    if (op != "div") cases.push_back(binary(op, {1000}, {1000}));
  }
  cases.push_back(binary("add", {7}, {1}));
  cases.push_back(binary("add", {1}, {7}));
  cases.push_back(binary("sub", {}, {}));
  cases.push_back(binary("sub", {}, {2, 3}));
  cases.push_back(binary("sub", {4, 1}, {1, 6}));
  cases.push_back(binary("sub", {2, 1, 3}, {4, 1}));
  cases.push_back(binary("sub", {2, 3, 4, 5}, {3, 1, 5}));
  cases.push_back(binary("sub", {2, 1, 3, 1}, {1, 4, 1, 5}));  // four loops
  cases.push_back(binary("sub", {2, 1, 3, 1, 1, 5}, {1, 4, 1, 1, 1, 5}));
  cases.push_back(binary("sub", {2, 1, 3, 1, 2, 1}, {1, 4, 1, 5, 1, 2}));              // six loops
  cases.push_back(binary("sub", {1, 1, 2, 3, 4, 5, 1, 2}, {1, 1, 2, 3, 4, 5, 1, 1}));  // eight dimensions, few loops
  cases.push_back(binary("sub", {3, 1, 1}, {3, 4, 5}));
  cases.push_back(binary("sub", {300, 1}, {1, 300}));
  // By fours: side by side, with operands repeated in the innermost loop and outside of it, and where it does not go.
  cases.push_back(binary("sub", {2, 3, 4, 8}, {3, 1, 1}));
  cases.push_back(binary("sub", {7, 1}, {7, 12}));
  cases.push_back(binary("sub", {5, 12}, {12}));
  cases.push_back(binary("sub", {2, 1, 8}, {1, 5, 8}));
  cases.push_back(binary("sub", {1}, {64}));
  cases.push_back(binary("sub", {2, 1, 8, 1}, {1, 3, 1, 4}));
  cases.push_back(binary("sub", {2, 3, 6}, {3, 1}));
  cases.push_back(binary("gate", {6, 8}, {6, 1}, "gelu"));
  cases.push_back(binary("mul", {std::int64_t{0}, 5}, {1, 5}));
  cases.push_back(binary("max", {"batch", 3}, {3}));
  cases.back().dims = {{"batch", 4}};
  for (const std::string activation : {"none", "silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid"}) {
    cases.push_back(binary("gate", {3, 7}, {3, 7}, activation));
  }
  cases.push_back(binary("gate", {3, 7}, {3, 1}, "silu"));
  {
    // More workgroups than one dimension of the smallest device has.
    cases.push_back(binary("max", {4194305}, {1}));
  }
  {
    OpCase c = binary("div", {6}, {6});
    c.name = "div, zeros and infinities";
    c.values = {{"a", {1.0, -1.0, 0.0, kInfinity, 3e38, 1.0}}, {"b", {0.0, 0.0, 0.0, 2.0, 0.5, kInfinity}}};
    cases.push_back(std::move(c));
  }
  {
    // Weights as operands, stored in few bits, and one value as both operands.
    GraphBuilder b("weights");
    const ValueId w = b.weight("w", DType::Q4_0, {2, 32});
    const ValueId sum = b.add("add", "sum", {w, b.weight("v", DType::BF16, {32})});
    b.output(b.add("mul", "square", {sum, sum}), "y");
    cases.push_back({"q4_0 and bf16 weights", std::move(b).finish(), {}, {}});
  }
  {
    // A chain through the arena: every intermediate is dead one node later. None is added or multiplied, which would be
    // done with the one before.
    GraphBuilder b("chain");
    ValueId x = b.input("x", DType::F32, {130});
    const ValueId first = x;
    for (int i = 0; i < 12; ++i) x = b.add(i % 3 == 2 ? "div" : "sub", fmt::format("n{}", i), {x, first});
    b.output(x, "y");
    cases.push_back({"a chain of twelve", std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
