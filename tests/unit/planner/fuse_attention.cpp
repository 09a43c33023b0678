// Attention with what makes its queries, keys and values.
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

struct AttentionOptions {
  bool rotary = true;
  bool says_kv_heads = true;
  std::string k_layout = "half";
  bool linears = true;
  std::int64_t kv_heads = 1;
  DType v_type = DType::F32;
  bool biases = false;
  bool cache = true;
  bool rotated_q_is_output = false;
};

Graph attention_graph(const AttentionOptions& options) {
  constexpr std::int64_t kHeads = 2;
  constexpr std::int64_t kDim = 4;
  GraphBuilder b("attention");
  const ValueId x = b.input("x", DType::F32, {"tokens", 6});
  const auto project = [&](const std::string& name, std::int64_t heads, DType type) {
    if (!options.linears) return b.input(name, DType::F32, {"tokens", heads * kDim});
    return b.add("linear", name,
                 {x, b.weight("w" + name, type, {heads * kDim, 6}),
                  options.biases ? b.weight("b" + name, DType::F32, {heads * kDim}) : kNoValue});
  };
  ValueId q = project("q", kHeads, DType::F32);
  ValueId k = project("k", options.kv_heads, DType::F32);
  const ValueId v = project("v", options.kv_heads, options.v_type);
  const ValueId position = b.state("position", DType::I32, {1});
  if (options.rotary) {
    q = b.add("rotary", "turn_q", {q, position}, {{"heads", kHeads}, {"layout", "half"}, {"base", 100.0}});
    k = b.add("rotary", "turn_k", {k, position},
              {{"heads", options.kv_heads}, {"layout", options.k_layout}, {"base", 100.0}});
  }
  Attributes attributes{{"heads", kHeads}, {"causal", std::int64_t{1}}};
  if (options.says_kv_heads) attributes.set("kv_heads", options.kv_heads);
  std::vector<ValueId> inputs = {q, k, v};
  if (options.cache) {
    inputs.push_back(kNoValue);
    inputs.push_back(b.state("cache_k", DType::F32, {"context", options.kv_heads * kDim}));
    inputs.push_back(b.state("cache_v", DType::F32, {"context", options.kv_heads * kDim}));
    inputs.push_back(position);
  }
  b.output(b.add("attention", "attend", inputs, attributes), "y");
  if (options.rotated_q_is_output) b.output(q, "turned");
  return std::move(b).finish();
}

const Bindings kDims = {{"tokens", 3}, {"context", 8}};

}  // namespace

TEST_CASE("attention takes over rotation and packing") {
  for (const double position : {0.0, 2.0, 5.0}) {
    for (const bool biases : {false, true}) {
      const Graph graph = fused(attention_graph({.biases = biases}), kDims, position);
      REQUIRE(graph.nodes.size() == 2);
      CHECK(graph.nodes[0].op == "linear");
      CHECK(graph.nodes[1].attributes.integer("packed") == 1);
      CHECK(graph.nodes[1].attributes.text("rotary_layout") == "half");
    }
  }
  const Graph straight = fused(attention_graph({.rotary = false}), kDims, 1.0);
  REQUIRE(straight.nodes.size() == 2);
  CHECK_FALSE(straight.nodes[1].attributes.has("rotary_layout"));
}

TEST_CASE("attention that does not say how many key heads it has is fused too") {
  const Graph graph = fused(attention_graph({.says_kv_heads = false, .kv_heads = 2}), kDims, 1.0);
  CHECK(count_ops(graph, "rotary") == 0);
}

TEST_CASE("rotation stays where attention cannot do it") {
  CHECK(count_ops(fused(attention_graph({.k_layout = "interleaved"}), kDims, 2.0), "rotary") == 2);
  CHECK(count_ops(fused(attention_graph({.rotated_q_is_output = true}), kDims, 2.0), "rotary") == 2);
  CHECK(count_ops(fused(attention_graph({.cache = false}), kDims, 2.0), "rotary") == 2);
}

TEST_CASE("q, k and v are not packed when they differ in kind") {
  const Graph types = fused(attention_graph({.v_type = DType::F16}), kDims, 2.0);
  CHECK(count_ops(types, "linear") == 3);
  const Graph inputs = fused(attention_graph({.linears = false}), kDims, 2.0);
  CHECK(count_ops(inputs, "rotary") == 0);
  CHECK(inputs.nodes.size() == 1);
}

}  // namespace heed
