// All passes together, on whole layers.
#include "tests/unit/cpu_driver.h"
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

/// A device on which small products are joined, and the choices that do so.
DeviceCaps joining_caps() {
  DeviceCaps caps = testing::cpu_driver();
  caps.max_storage_buffers = 32;
  return caps;
}

Tuning joining_tuning() {
  Tuning tuning;
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  tuning.set(&ProductTuning::lane_rows, true);
  tuning.set(&ProductTuning::pairs, true);
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

}  // namespace

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

TEST_CASE("passes run by phase, those of one op in its order") {
  const std::vector<ops::Fusion> passes = fusion_passes();
  const auto place = [&](std::string_view name) {
    const auto found = std::ranges::find(passes, name, &ops::Fusion::name);
    REQUIRE_MESSAGE(found != passes.end(), std::string(name));
    return found - passes.begin();
  };
  CHECK(std::ranges::is_sorted(passes, {}, &ops::Fusion::phase));
  constexpr std::string_view kInOrder[] = {"gate",  "rotary",           "packed attention", "norm", "attention block",
                                           "pairs", "linear activation"};
  for (std::size_t i = 1; i < std::size(kInOrder); ++i) CHECK(place(kInOrder[i - 1]) < place(kInOrder[i]));
  for (std::size_t i = 0; i < passes.size(); ++i) CHECK(place(passes[i].name) == static_cast<std::ptrdiff_t>(i));
}

}  // namespace heed
