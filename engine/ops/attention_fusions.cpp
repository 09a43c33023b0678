// Fusion passes that take into attention what makes its queries, keys and values.
#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rewrite.h"

namespace heed::ops {
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

void fuse_rotary(const FusionContext& context) {
  Graph& graph = context.graph;
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

void fuse_packed_attention(const FusionContext& context) {
  Graph& graph = context.graph;
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
    std::optional<Node> merged = merge_linears(graph, linears, context.caps, context.tuning);
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

}  // namespace heed::ops
