#include "plan/fuse.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "heed/error.h"
#include "tests/unit/plan/run_graph.h"

namespace heed {
namespace {

constexpr double kSame = 1e-12;

std::size_t count_ops(const Graph& graph, std::string_view op) {
  return static_cast<std::size_t>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; }));
}

/// Whether every intermediate that a node reads or that is an output has been made before, once.
bool well_formed(const Graph& graph) {
  std::set<ValueId> known;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind != ValueKind::Intermediate) known.insert(static_cast<ValueId>(i));
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue && !known.contains(id)) return false;
    }
    for (const ValueId id : node.outputs) {
      if (id != kNoValue && !known.insert(id).second) return false;
    }
  }
  return std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](ValueId id) { return known.contains(id); });
}

/// What fuse() makes of a graph; checked to be well formed and to compute the same.
Graph fused(const Graph& graph, const Bindings& dims = {}, double position = 0, const DeviceCaps& caps = {},
            const Tuning& tuning = {}) {
  Graph result = graph;
  fuse(result, dims, caps, tuning);
  REQUIRE(well_formed(result));
  const auto before = run_graph(graph, dims, position);
  const auto after = run_graph(result, dims, position);
  CHECK(difference(before, after) < kSame);
  return result;
}

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

TEST_CASE("a whole block is five nodes for one token, and computes the same for any number") {
  for (const std::int64_t tokens : {1, 3}) {
    GraphBuilder b("block");
    const ValueId x = b.input("x", DType::F32, {"tokens", 8});
    const ValueId position = b.state("position", DType::I32, {1});
    const auto weight = [&](const std::string& name, std::int64_t n, std::int64_t k) {
      return b.weight(name, DType::F32, {n, k});
    };
    const ValueId normed = b.add("rms_norm", "norm1", {x, b.weight("g1", DType::F32, {8})}, {{"eps", 1e-5}});
    ValueId q = b.add("linear", "q", {normed, weight("wq", 8, 8)});
    ValueId k = b.add("linear", "k", {normed, weight("wk", 4, 8)});
    const ValueId v = b.add("linear", "v", {normed, weight("wv", 4, 8)});
    q = b.add("rotary", "turn_q", {q, position},
              {{"heads", std::int64_t{2}}, {"layout", "interleaved"}, {"base", 100.0}});
    k = b.add("rotary", "turn_k", {k, position},
              {{"heads", std::int64_t{1}}, {"layout", "interleaved"}, {"base", 100.0}});
    const ValueId y = b.add("attention", "attend",
                            {q, k, v, kNoValue, b.state("ck", DType::F32, {"context", 4}),
                             b.state("cv", DType::F32, {"context", 4}), position},
                            {{"heads", std::int64_t{2}}, {"kv_heads", std::int64_t{1}}, {"causal", std::int64_t{1}}});
    const ValueId h = b.add("linear", "o", {y, weight("wo", 8, 8), kNoValue, x});
    const ValueId normed2 = b.add("rms_norm", "norm2", {h, b.weight("g2", DType::F32, {8})}, {{"eps", 1e-5}});
    const ValueId gate = b.add("linear", "gate", {normed2, weight("w1", 12, 8)});
    const ValueId up = b.add("linear", "up", {normed2, weight("w3", 12, 8)});
    const ValueId gated = b.add("gate", "act", {gate, up}, {{"activation", "silu"}});
    b.output(b.add("linear", "down", {gated, weight("w2", 8, 12), kNoValue, h}), "y");
    const Graph graph = fused(std::move(b).finish(), {{"tokens", tokens}, {"context", 8}}, 4.0);
    CHECK(graph.nodes.size() == (tokens == 1 ? 5u : 7u));
  }
}

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

TEST_CASE("uses count inputs and outputs") {
  const Graph graph = norm_graph(true, true);
  const std::vector<int> uses = count_uses(graph);
  CHECK(uses[static_cast<std::size_t>(graph.find("normed"))] == 4);
  CHECK(uses[static_cast<std::size_t>(graph.find("x"))] == 2);
  CHECK(uses[static_cast<std::size_t>(graph.find("y1"))] == 1);
}

/// A device on which small products are joined, and the choices that do so.
DeviceCaps joining_caps() {
  DeviceCaps caps;
  caps.type = DeviceType::Cpu;
  caps.subgroup_size = 8;
  caps.subgroup_arithmetic = caps.subgroup_shuffle = true;
  caps.max_storage_buffers = 32;
  return caps;
}

Tuning joining_tuning() {
  Tuning tuning;
  tuning.lanes = 8;
  tuning.lane_rows = tuning.pairs = true;
  return tuning;
}

struct Layer {
  std::int64_t rows = 1;
  std::int64_t hidden = 64;
  std::int64_t head = 16;
  DType second = DType::F32;  // of the weights of products of products
  std::string activation = "none";
  bool shared = false;  // what is between is an output too
};

/// Norm, q, k, v, attention of two heads, output; norm, gate, down: all with residuals.
Graph layer_graph(const Layer& c) {
  GraphBuilder b("layer");
  ValueId x = b.input("x", DType::F32, {c.rows, 32});
  const std::int64_t width = 2 * c.head;
  const ValueId cache_k = b.state("cache_k", DType::F32, {8, width});
  const ValueId cache_v = b.state("cache_v", DType::F32, {8, width});
  const ValueId position = b.state("position", DType::I32, {1});
  const auto product = [&](const std::string& name, ValueId in, std::int64_t n, std::int64_t k, DType type,
                           ValueId residual = kNoValue, const std::string& activation = "none") {
    return b.add("linear", name,
                 {in, b.weight("w" + name, type, {n, k}), b.weight("b" + name, DType::F32, {n}), residual},
                 {{"activation", activation}});
  };
  ValueId normed = b.add("rms_norm", "norm", {x, b.weight("n1", DType::F32, {32})}, {{"eps", 1e-5}});
  const ValueId q = product("q", normed, width, 32, DType::F32);
  const ValueId k = product("k", normed, width, 32, DType::F32);
  const ValueId v = product("v", normed, width, 32, DType::F32);
  const ValueId attended = b.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, position},
                                 {{"heads", std::int64_t{2}}, {"causal", std::int64_t{1}}});
  x = product("o", attended, 32, width, c.second, x);
  normed = b.add("rms_norm", "norm2", {x, b.weight("n2", DType::F32, {32})}, {{"eps", 1e-5}});
  const ValueId up = product("up", normed, c.hidden, 32, DType::F32);
  const ValueId h =
      b.add("gate", "gate", {product("gate_in", normed, c.hidden, 32, DType::F32), up}, {{"activation", "silu"}});
  b.output(product("down", h, 32, c.hidden, c.second, x, c.activation), "y");
  if (c.shared) {
    b.output(h, "h");
    b.output(attended, "attended");
  }
  return std::move(b).finish();
}

TEST_CASE("the halves of a decoder layer become one node each where the device gains by it") {
  const auto joined = [](const Layer& layer, const DeviceCaps& caps, const Tuning& tuning) {
    return fused(layer_graph(layer), {}, 3, caps, tuning);
  };
  const DeviceCaps caps = joining_caps();
  const Tuning tuning = joining_tuning();
  const Graph both = joined({}, caps, tuning);
  REQUIRE(both.nodes.size() == 2);
  CHECK(both.nodes[0].op == "attention_block");
  CHECK(both.nodes[1].op == "linear");
  CHECK(both.nodes[1].inputs.size() == 8);

  const auto is_apart = [&](const Layer& layer, const DeviceCaps& c, const Tuning& t) {
    const Graph graph = joined(layer, c, t);
    return count_ops(graph, "attention") == 1 && count_ops(graph, "attention_block") == 0;
  };
  CHECK(is_apart({.rows = 2}, caps, tuning));
  CHECK(is_apart({.second = DType::F16}, caps, tuning));
  CHECK(is_apart({.shared = true}, caps, tuning));
  CHECK(is_apart({.head = 6}, caps, tuning));
  CHECK(is_apart({}, caps, Tuning{}));
  DeviceCaps other = caps;
  other.type = DeviceType::Discrete;
  CHECK(is_apart({}, other, tuning));
  other = caps;
  other.subgroup_shuffle = false;
  CHECK(is_apart({}, other, tuning));
  other = caps;
  other.subgroup_size = 16;
  CHECK(is_apart({}, other, tuning));
  other = caps;
  other.max_shared_memory = 900;
  CHECK(is_apart({}, other, tuning));
  other = caps;
  other.max_loop_iterations = 300;
  CHECK(is_apart({}, other, tuning));
  // Not whole chunks, and a function of the second product.
  CHECK(joined({.hidden = 36}, caps, tuning).nodes.size() == 3);
  CHECK(joined({.activation = "relu"}, caps, tuning).nodes.size() == 3);
}

TEST_CASE("an attention block stays apart where somebody reads its cache before it would be written") {
  Graph graph = layer_graph({});
  // The reader stands between the attention and the product of what it gives.
  const auto attend =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "attention"; });
  const ValueId cache = attend->inputs[4];
  Value copy;
  copy.name = "copy";
  copy.kind = ValueKind::Intermediate;
  copy.dtype = DType::F32;
  graph.values.push_back(copy);
  const auto id = static_cast<ValueId>(graph.values.size() - 1);
  graph.nodes.insert(attend + 1, Node{"neg", "read", {cache}, {id}, {}});
  graph.outputs.push_back(id);
  CHECK(count_ops(fused(graph, {}, 3, joining_caps(), joining_tuning()), "attention_block") == 0);
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

}  // namespace heed
