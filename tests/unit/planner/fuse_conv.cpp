// What comes after a convolution inside it.
#include <fmt/format.h>

#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

ValueId convolution(GraphBuilder& b, const std::string& name, ValueId x, std::int64_t in, std::int64_t out) {
  return b.add("conv", name, {x, b.weight(name + ".w", DType::F32, {out, in, 3, 3})},
               {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
}

/// Pixel shuffle as PyTorch exports it, or in the other order.
ValueId shuffled(GraphBuilder& b, ValueId x, std::int64_t planes, std::int64_t block, std::int64_t rows,
                 std::int64_t columns, bool inner) {
  using Sizes = std::vector<std::int64_t>;
  const ValueId split = b.add("reshape", "split",
                              {x, b.integers("parts", inner ? Sizes{1, planes, block, block, rows, columns}
                                                            : Sizes{1, block, block, planes, rows, columns})});
  const ValueId mixed =
      b.add("transpose", "mixed", {split}, {{"perm", inner ? Sizes{0, 1, 4, 2, 5, 3} : Sizes{0, 3, 4, 1, 5, 2}}});
  return b.add("reshape", "joined", {mixed, b.integers("whole", {1, planes, rows * block, columns * block})});
}

}  // namespace

TEST_CASE("a residual or a factor becomes part of the convolution before it, with the activation on either side") {
  for (const std::string join : {"add", "mul"}) {
    for (const bool first : {false, true}) {
      for (const std::string order : {"join", "join, activation", "activation, join", "activation, join, activation"}) {
        CAPTURE(fmt::format("{} {} {}", join, first, order));
        GraphBuilder b("g");
        const ValueId x = b.input("x", DType::F32, {1, 4, 5, 6});
        ValueId y = convolution(b, "c", x, 4, 4);
        if (order.starts_with("activation")) y = b.add("sigmoid", "before", {y});
        y = b.add(join, "j", first ? std::vector{x, y} : std::vector{y, x});
        if (order.ends_with("activation")) y = b.add("leaky_relu", "after", {y}, {{"alpha", 0.1}});
        b.output(y, "y");
        const Graph graph = fused(std::move(b).finish());
        // A factor comes last, and there is one activation.
        const bool stays = order == "activation, join, activation" || (join == "mul" && order == "join, activation");
        CHECK(graph.nodes.size() == (stays ? 2u : 1u));
      }
    }
  }
}

TEST_CASE("of two convolutions that are added the later one takes the other, and waits for what comes after it") {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, 4, 5, 6});
  const ValueId first = convolution(b, "first", x, 4, 4);
  const ValueId second = convolution(b, "second", x, 4, 4);
  const ValueId late = b.add("softmax", "late", {x});
  const ValueId sum = b.add("add", "sum", {first, second});
  b.output(b.add("add", "more", {sum, late}), "y");  // has its sum already
  const Graph graph = fused(std::move(b).finish());
  REQUIRE(graph.nodes.size() == 4);
  CHECK(graph.nodes[2].name == "second");
  {
    GraphBuilder waits("g");
    const ValueId in = waits.input("x", DType::F32, {1, 4, 5, 6});
    const ValueId y = convolution(waits, "c", in, 4, 4);
    waits.output(waits.add("mul", "m", {waits.add("exp", "late", {in}), y}), "y");
    const Graph moved = fused(std::move(waits).finish());
    REQUIRE(moved.nodes.size() == 2);
    CHECK(moved.nodes[0].op == "exp");
  }
}

TEST_CASE("what is not of y's shape, or is wanted as it was, is not joined to a convolution") {
  const auto nodes = [](SymbolicShape other, bool shared) {
    GraphBuilder b("g");
    const ValueId y = convolution(b, "c", b.input("x", DType::F32, {1, 4, 5, 6}), 4, 4);
    b.output(b.add("add", "j", {y, b.input("other", DType::F32, std::move(other))}), "y");
    if (shared) b.output(y, "before");
    return fused(std::move(b).finish()).nodes.size();
  };
  CHECK(nodes({1, 4, 5, 6}, false) == 1);
  CHECK(nodes({1, 4, 5, 6}, true) == 2);
  CHECK(nodes({1, 1, 5, 6}, false) == 2);
  CHECK(nodes({4, 1, 1}, false) == 2);
  CHECK(nodes({3, 4, 5, 6}, false) == 2);
  GraphBuilder b("g");  // twice the same
  const ValueId y = convolution(b, "c", b.input("x", DType::F32, {1, 4, 5, 6}), 4, 4);
  b.output(b.add("add", "j", {y, y}), "y");
  CHECK(fused(std::move(b).finish()).nodes.size() == 2);
}

TEST_CASE("a convolution is not moved past what changes a state that is joined to it") {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, 1, 4});
  const ValueId state = b.state("s", DType::F32, {1, 1, 4});
  const ValueId y = b.add("conv", "c", {state, b.weight("w", DType::F32, {1, 1, 1})});
  b.add_many("store", "change", {state, x}, {}, 0);
  b.output(b.add("add", "sum", {y, x}), "y");
  CHECK(count_ops(fused(std::move(b).finish()), "add") == 1);
}

TEST_CASE("pixel shuffle becomes how the convolution before it writes") {
  for (const bool inner : {true, false}) {
    CAPTURE(inner);
    GraphBuilder b("g");
    const ValueId y = convolution(b, "c", b.input("x", DType::F32, {1, 3, 5, 4}), 3, 18);
    const ValueId pixels = shuffled(b, y, 2, 3, 5, 4, inner);
    const ValueId other = b.input("other", DType::F32, {1, 2, 15, 12});
    b.output(b.add("add", "sum", {b.add("silu", "act", {pixels}), other}), "y");
    const Graph graph = fused(std::move(b).finish());
    CHECK(count_ops(graph, "conv") == 1);
    CHECK(count_ops(graph, "transpose") + count_ops(graph, "reshape") + count_ops(graph, "silu") == 0);
    CHECK(count_ops(graph, "add") == 0);
  }
  GraphBuilder b("g");  // another order of dimensions is no pixel shuffle
  const ValueId y = convolution(b, "c", b.input("x", DType::F32, {1, 3, 4, 4}), 3, 16);
  const ValueId split = b.add("reshape", "split", {y, b.integers("parts", {1, 4, 2, 2, 4, 4})});
  const ValueId mixed = b.add("transpose", "mixed", {split}, {{"perm", std::vector<std::int64_t>{0, 1, 4, 3, 5, 2}}});
  b.output(b.add("reshape", "joined", {mixed, b.integers("whole", {1, 4, 8, 8})}), "y");
  CHECK(count_ops(fused(std::move(b).finish()), "transpose") == 1);
}

}  // namespace heed
