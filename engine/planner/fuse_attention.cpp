#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "ops/attention_block.h"
#include "planner/fuse.h"
#include "planner/infer.h"
#include "planner/rewrite.h"

namespace heed {
namespace {

/// Rows of the stacked weight of q, k and v that belong to one head, or to a part of one if heads of k and v differ.
std::int64_t head_rows(const Graph& graph, const Node& attention) {
  const std::int64_t kv_heads = attention.attributes.integer("kv_heads", attention.attributes.integer("heads"));
  const auto rows = [&](std::size_t input) {
    return graph.value(attention.inputs[input]).shape[1].size / kv_heads;  // of caches [C, KVH*d]
  };
  return std::gcd(rows(4), rows(5));
}

}  // namespace

void fuse_rotary(Graph& graph) {
  const Wiring wiring(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& attention = graph.nodes[i];
    if (attention.op != "attention" || input_of(attention, 4) == kNoValue) continue;
    const std::optional<std::size_t> q = wiring.only_maker(attention.inputs[0]);
    const std::optional<std::size_t> k = wiring.only_maker(attention.inputs[1]);
    if (!q || !k || !can_move(graph, *q, i) || !can_move(graph, *k, i)) continue;
    const Node& rotate_q = graph.nodes[*q];
    const Node& rotate_k = graph.nodes[*k];
    if (rotate_q.op != "rotary" || rotate_k.op != "rotary") continue;
    if (rotate_q.inputs[1] != attention.inputs[6] || rotate_k.inputs[1] != attention.inputs[6]) continue;
    Attributes of_q = rotate_q.attributes;
    Attributes of_k = rotate_k.attributes;
    const std::int64_t heads = attention.attributes.integer("heads");
    if (of_q.integer("heads") != heads || of_k.integer("heads") != attention.attributes.integer("kv_heads", heads)) {
      continue;
    }
    of_q.erase("heads");
    of_k.erase("heads");
    if (!(of_q == of_k)) continue;
    for (const auto& [name, value] : of_q) attention.attributes.set("rotary_" + name, value);
    attention.inputs[0] = rotate_q.inputs[0];
    attention.inputs[1] = rotate_k.inputs[0];
    dead.insert({*q, *k});
  }
  erase_nodes(graph, dead);
}

void fuse_packed_attention(Graph& graph, const DeviceCaps& caps, const Tuning& tuning) {
  const Wiring wiring(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op != "attention" || input_of(graph.nodes[i], 4) == kNoValue) continue;
    std::vector<const Node*> linears;
    std::vector<std::size_t> indices;
    for (std::size_t input = 0; input < 3; ++input) {
      const std::optional<std::size_t> maker = wiring.only_maker(graph.nodes[i].inputs[input]);
      if (!maker) break;
      linears.push_back(&graph.nodes[*maker]);
      indices.push_back(*maker);
    }
    if (linears.size() != 3) continue;
    // The last of the three stands where all their inputs are ready and nobody has read them yet.
    const std::size_t last = *std::max_element(indices.begin(), indices.end());
    if (!std::ranges::all_of(indices, [&](std::size_t index) { return can_move(graph, index, last); })) continue;
    std::optional<Node> merged = merge_linears(graph, linears, caps, tuning);
    if (!merged) continue;
    for (const std::size_t index : indices) {
      if (index != last) dead.insert(index);
    }
    Node& attention = graph.nodes[i];
    merged->name = attention.name + ".qkv";
    merged->attributes.set("head_rows", head_rows(graph, attention));
    const ValueId q = attention.inputs[0];
    attention.attributes.set("packed", std::int64_t{1});
    attention.inputs[1] = attention.inputs[2] = kNoValue;
    merged->outputs = {q};
    graph.nodes[last] = std::move(*merged);
  }
  erase_nodes(graph, dead);
}

void fuse_attention_blocks(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  const std::vector<TensorType> types = infer_all(graph, dims);
  const Wiring wiring(graph);
  const auto type_of = [&](ValueId id) -> const TensorType& { return types[static_cast<std::size_t>(id)]; };
  std::set<std::size_t> dead;
  for (std::size_t output_at = 0; output_at < graph.nodes.size(); ++output_at) {
    Node& output = graph.nodes[output_at];
    if (!product_alone(output)) continue;
    const std::optional<std::size_t> attention_at = wiring.only_maker(output.inputs[0]);
    if (!attention_at) continue;
    const Node& attention = graph.nodes[*attention_at];
    if (!can_move(graph, *attention_at, output_at)) continue;
    if (attention.op != "attention" || attention.attributes.integer("packed", 0) == 0 ||
        input_of(attention, 3) != kNoValue || attention.outputs.size() > 1) {
      continue;
    }
    const std::optional<std::size_t> projection_at = wiring.only_maker(attention.inputs[0]);
    if (!projection_at) continue;
    const Node& projection = graph.nodes[*projection_at];
    if (projection.op != "linear" || input_of(projection, 3) != kNoValue || input_of(projection, 5) != kNoValue ||
        projection.attributes.text("activation", "none") != "none" || projection.attributes.has("gate")) {
      continue;
    }
    if (!can_move(graph, *projection_at, output_at)) continue;
    const Shape& x = type_of(projection.inputs[0]).shape;
    const TensorType& w = type_of(projection.inputs[1]);
    const TensorType& w2 = type_of(output.inputs[1]);
    if (x.size() != 2 || x[0] != 1 || w.dtype != w2.dtype) continue;
    const ops::AttentionBlock block = {w.dtype,
                                       x[1],
                                       w2.shape[0],
                                       &attention.attributes,
                                       type_of(attention.inputs[4]).shape,
                                       type_of(attention.inputs[5]).shape};
    if (!ops::fits_one_dispatch(block, caps, tuning)) continue;
    Node merged{"attention_block", attention.name, {}, output.outputs, attention.attributes};
    merged.inputs = {projection.inputs[0], projection.inputs[1], input_of(projection, 2), input_of(projection, 4),
                     attention.inputs[4],  attention.inputs[5],  attention.inputs[6],     output.inputs[1],
                     input_of(output, 2),  input_of(output, 3)};
    if (projection.attributes.has("norm_eps")) {
      merged.attributes.set("norm_eps", projection.attributes.real("norm_eps"));
    }
    dead.insert({*attention_at, *projection_at});
    output = std::move(merged);
  }
  erase_nodes(graph, dead);
}

}  // namespace heed
