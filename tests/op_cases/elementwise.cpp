// cases elementwise: every function over ordinary, tiny and huge numbers; broadcasting of every kind.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

OpCase unary(const std::string& op, const std::string& what, std::vector<double> x, double tolerance) {
  GraphBuilder b("unary");
  const auto count = static_cast<std::int64_t>(x.size());
  b.output(b.add(op, "f", {b.input("x", DType::F32, {count})}), "y");
  return {op + ", " + what, std::move(b).finish(), {}, {{"x", std::move(x)}}, tolerance};
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
          {},
          2e-6};
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
    cases.push_back(unary(op, "-10 to 10", ordinary, 2e-6));
    // Alone, so that the largest of them sets the scale.
    cases.push_back(unary(op, "near zero", near_zero, 2e-6));
    cases.push_back(unary(op, "tiny", tiny, 2e-6));
    cases.push_back(unary(op, "large", {1e2, -1e2, 1e4, -1e4, 88.0, -88.0, 104.0, -104.0}, 2e-6));
    cases.push_back(unary(op, "huge", {1e20, -1e20, 3e38, -3e38, 1e13, -1e13}, 2e-6));
    cases.push_back(unary(op, "one", {0.5}, 2e-6));
    cases.push_back(unary(op, "zero", {0.0, -0.0}, 2e-6));
    if (op != "silu" && op != "gelu" && op != "gelu_tanh") {
      cases.push_back(unary(op, "infinities", {kInfinity, -kInfinity, 1.0}, 2e-6));
    }
  }
  cases.push_back(unary("exp", "-10 to 10", ordinary, 5e-6));
  cases.push_back(unary("exp", "below zero", {-1.0, -5.0, -20.0, -80.0, -200.0, -1e30, -kInfinity, 0.0}, 2e-6));
  cases.push_back(unary("exp", "overflow", {89.0, 100.0, 1e30, kInfinity, 80.0}, 2e-5));
  cases.push_back(unary("sqrt", "0 to 1e30", {0.0, 1.0, 2.0, 0.25, 1e-20, 1e10, 1e30, kInfinity}, 2e-6));
  cases.push_back(unary("neg", "none", {}, 0.0));

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
  cases.push_back(binary("sub", {1, 1, 2, 3, 4, 5, 1, 2}, {1, 1, 2, 3, 4, 5, 1, 1}));  // eight dimensions, few loops
  cases.push_back(binary("sub", {3, 1, 1}, {3, 4, 5}));
  cases.push_back(binary("sub", {300, 1}, {1, 300}));
  cases.push_back(binary("mul", {std::int64_t{0}, 5}, {1, 5}));
  cases.push_back(binary("max", {"batch", 3}, {3}));
  cases.back().dims = {{"batch", 4}};
  for (const std::string activation : {"none", "silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid"}) {
    cases.push_back(binary("gate", {3, 7}, {3, 7}, activation));
  }
  cases.push_back(binary("gate", {3, 7}, {3, 1}, "silu"));
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
    cases.push_back({"q4_0 and bf16 weights", std::move(b).finish(), {}, {}, 2e-6});
  }
  {
    // A chain through the arena: every intermediate is dead one node later.
    GraphBuilder b("chain");
    ValueId x = b.input("x", DType::F32, {130});
    const ValueId first = x;
    for (int i = 0; i < 12; ++i) x = b.add(i % 3 == 2 ? "mul" : "add", fmt::format("n{}", i), {x, first});
    b.output(x, "y");
    cases.push_back({"a chain of twelve", std::move(b).finish(), {}, {}, 1e-5});
  }
  return cases;
}

}  // namespace heed::op_cases
