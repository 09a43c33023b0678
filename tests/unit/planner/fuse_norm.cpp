// Norms inside the products that read them.
#include "ops/rewrite.h"
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

Graph norm_graph(bool normed_is_output, bool other_user) {
  GraphBuilder b("norm");
  const ValueId x = b.input("x", DType::F32, {"tokens", 6});
  const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {6})}, {{"eps", 0.01}});
  const ValueId first = b.add("linear", "first", {normed, b.weight("w1", DType::F32, {6, 6}), kNoValue, x});
  const ValueId second =
      b.add("linear", "second", {normed, b.weight("w2", DType::F32, {5, 6})}, {{"activation", "gelu"}});
  b.output(first, "y1");
  b.output(second, "y2");
  if (other_user) b.output(b.add("neg", "other", {normed}), "y3");
  if (normed_is_output) b.output(normed, "normed");
  return std::move(b).finish();
}

}  // namespace

TEST_CASE("a norm of one row goes into the linears behind it") {
  const Graph graph = fused(norm_graph(false, false), {{"tokens", 1}});
  CHECK(count_ops(graph, "rms_norm") == 0);
  for (const Node& node : graph.nodes) CHECK(node.attributes.real("norm_eps") == 0.01);
  CHECK(count_ops(fused(norm_graph(false, false), {{"tokens", 2}}), "rms_norm") == 1);
  CHECK(count_ops(fused(norm_graph(true, false), {{"tokens", 1}}), "rms_norm") == 1);
  CHECK(count_ops(fused(norm_graph(false, true), {{"tokens", 1}}), "rms_norm") == 1);
}

TEST_CASE("a norm that is also the residual stays") {
  GraphBuilder b("norm");
  const ValueId x = b.input("x", DType::F32, {1, 6});
  const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {6})}, {{"eps", 0.01}});
  b.output(b.add("linear", "first", {normed, b.weight("w1", DType::F32, {6, 6}), kNoValue, normed}), "y");
  CHECK(count_ops(fused(std::move(b).finish()), "rms_norm") == 1);
}

TEST_CASE("a norm before two products in one keeps the second") {
  GraphBuilder b("pair");
  ValueId x = b.input("x", DType::F32, {1, 4});
  x = b.add("rms_norm", "norm", {x, b.weight("n", DType::F32, {4})}, {{"eps", 1e-5}});
  b.output(
      b.add("linear", "pair",
            {x, b.weight("w", DType::F32, {4, 4}), kNoValue, kNoValue, kNoValue, b.weight("w2", DType::F32, {4, 4})}),
      "y");
  const Graph graph = fused(std::move(b).finish());
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].inputs.size() == 6);
}

TEST_CASE("uses count inputs and outputs") {
  const Graph graph = norm_graph(true, true);
  const std::vector<int> uses = ops::count_uses(graph);
  CHECK(uses[static_cast<std::size_t>(graph.find("normed"))] == 4);
  CHECK(uses[static_cast<std::size_t>(graph.find("x"))] == 2);
  CHECK(uses[static_cast<std::size_t>(graph.find("y1"))] == 1);
}

}  // namespace heed
