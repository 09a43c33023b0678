// Products that read the same, and what is done with their results.
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

struct GateOptions {
  std::int64_t b_rows = 6;
  DType b_type = DType::F32;
  DType bias_type = DType::F32;
  bool bias_a = true;
  bool bias_b = true;
  bool a_is_output = false;
  std::string activation_a = "none";
};

Graph gate_graph(const GateOptions& options) {
  GraphBuilder b("gate");
  const ValueId x = b.input("x", DType::F32, {3, 4});
  const ValueId a =
      b.add("linear", "a",
            {x, b.weight("wa", DType::F32, {6, 4}), options.bias_a ? b.weight("ba", options.bias_type, {6}) : kNoValue},
            {{"activation", options.activation_a}});
  const ValueId c = b.add("linear", "b",
                          {x, b.weight("wb", options.b_type, {options.b_rows, 4}),
                           options.bias_b ? b.weight("bb", options.bias_type, {options.b_rows}) : kNoValue});
  b.output(b.add("gate", "gate", {a, c}, {{"activation", "silu"}}), "y");
  if (options.a_is_output) b.output(a, "a_out");
  return std::move(b).finish();
}

}  // namespace

TEST_CASE("a gate over two linears becomes one") {
  for (const bool biases : {false, true}) {
    const Graph graph = fused(gate_graph({.bias_a = biases, .bias_b = biases}));
    REQUIRE(graph.nodes.size() == 1);
    CHECK(graph.nodes[0].op == "linear");
    CHECK(graph.nodes[0].attributes.text("gate") == "silu");
    CHECK(graph.value(graph.nodes[0].inputs[1]).parts == std::vector<std::string>{"wa", "wb"});
  }
}

TEST_CASE("a gate stays where its linears cannot be stacked") {
  CHECK(count_ops(fused(gate_graph({.bias_b = false})), "gate") == 1);
  CHECK(count_ops(fused(gate_graph({.b_type = DType::F16})), "gate") == 1);
  CHECK(count_ops(fused(gate_graph({.bias_type = DType::F16})), "gate") == 0);
  CHECK(count_ops(fused(gate_graph({.bias_type = DType::Q8_0})), "gate") == 1);
  CHECK(count_ops(fused(gate_graph({.a_is_output = true})), "gate") == 1);
  CHECK(count_ops(fused(gate_graph({.activation_a = "relu"})), "gate") == 1);
  DeviceCaps small;
  small.max_storage_buffer_range = 6 * 16 * 2 - 1;  // one byte less than twelve rows of four floats
  CHECK(count_ops(fused(gate_graph({}), {}, 0, small), "gate") == 1);
}

TEST_CASE("a gate that broadcasts one column stays") {
  // Stacked, the seven plus one rows would be cut in the middle.
  GraphBuilder b("gate");
  const ValueId x = b.input("x", DType::F32, {3, 4});
  const ValueId a = b.add("linear", "a", {x, b.weight("wa", DType::F32, {7, 4})});
  const ValueId c = b.add("linear", "b", {x, b.weight("wb", DType::F32, {1, 4})});
  b.output(b.add("gate", "gate", {a, c}, {{"activation", "silu"}}), "y");
  CHECK(count_ops(fused(std::move(b).finish()), "gate") == 1);
}

TEST_CASE("a gate of one linear with itself stays") {
  GraphBuilder b("gate");
  const ValueId x = b.input("x", DType::F32, {3, 4});
  const ValueId a = b.add("linear", "a", {x, b.weight("wa", DType::F32, {7, 4})});
  b.output(b.add("gate", "gate", {a, a}, {{"activation", "silu"}}), "y");
  CHECK(count_ops(fused(std::move(b).finish()), "gate") == 1);
}

}  // namespace heed
