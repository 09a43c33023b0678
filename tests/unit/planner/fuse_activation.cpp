// Activation functions inside what comes before them.
#include "tests/unit/planner/fused.h"

namespace heed {

TEST_CASE("an activation becomes part of the convolution or linear layer before it") {
  const auto graph_of = [](const std::string& op, const std::string& activation, bool shared = false) {
    GraphBuilder b("g");
    ValueId y = kNoValue;
    if (op == "linear") {
      y = b.add(op, "n", {b.input("x", DType::F32, {3, 8}), b.weight("w", DType::F32, {6, 8})});
    } else {
      y = b.add(op, "n", {b.input("x", DType::F32, {1, 4, 5, 5}), b.weight("w", DType::F32, {4, 4, 3, 3})});
    }
    Attributes attributes;
    if (activation == "leaky_relu") attributes.set("alpha", 0.3);
    b.output(b.add(activation, "act", {y}, attributes), "y");
    if (shared) b.output(y, "before");
    return std::move(b).finish();
  };
  for (const std::string activation : {"relu", "silu", "gelu", "tanh", "sigmoid", "leaky_relu"}) {
    for (const std::string op : {"conv", "conv_transpose", "linear"}) {
      CAPTURE(op + " " + activation);
      const bool stays = op == "linear" && activation == "leaky_relu";
      CHECK(fused(graph_of(op, activation)).nodes.size() == (stays ? 2u : 1u));
    }
  }
  CHECK(fused(graph_of("conv", "relu", true)).nodes.size() == 2);  // somebody wants what is before it
  CHECK(fused(graph_of("conv", "exp")).nodes.size() == 2);
  {
    GraphBuilder b("g");  // the second one has none to join any more
    const ValueId y =
        b.add("conv", "n", {b.input("x", DType::F32, {1, 4, 5, 5}), b.weight("w", DType::F32, {4, 4, 3, 3})});
    b.output(b.add("tanh", "second", {b.add("relu", "first", {y})}), "y");
    CHECK(fused(std::move(b).finish()).nodes.size() == 2);
  }
  {
    GraphBuilder b("g");  // a residual comes after the activation of a linear
    const ValueId x = b.input("x", DType::F32, {3, 8});
    const ValueId y = b.add("linear", "n", {x, b.weight("w", DType::F32, {8, 8}), kNoValue, x});
    b.output(b.add("relu", "act", {y}), "y");
    CHECK(fused(std::move(b).finish()).nodes.size() == 2);
  }
}

}  // namespace heed
