#include <algorithm>
#include <optional>
#include <set>

#include "ops/linear.h"
#include "planner/fuse.h"
#include "planner/infer.h"
#include "planner/rewrite.h"

namespace heed {

void fuse_gate(Graph& graph, const DeviceCaps& caps, const Tuning& tuning) {
  const Wiring wiring(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& gate = graph.nodes[i];
    if (gate.op != "gate") continue;
    const std::optional<std::size_t> a = wiring.only_maker(gate.inputs[0]);
    const std::optional<std::size_t> b = wiring.only_maker(gate.inputs[1]);
    if (!a || !b || a == b || !can_move(graph, *a, i) || !can_move(graph, *b, i)) continue;
    const Node& first = graph.nodes[*a];
    const Node& second = graph.nodes[*b];
    if (!plain_linear(first) || !plain_linear(second)) continue;
    // A gate broadcasts; only halves of equal width can be told apart in one weight.
    if (graph.value(first.inputs[1]).shape != graph.value(second.inputs[1]).shape) continue;
    std::optional<Node> merged = merge_linears(graph, {&first, &second}, caps, tuning);
    if (!merged) continue;
    dead.insert({*a, *b});
    merged->name = gate.name;
    merged->outputs = gate.outputs;
    merged->attributes.set("gate", gate.attributes.text("activation"));
    gate = std::move(*merged);
  }
  erase_nodes(graph, dead);
}

void fuse_pairs(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  const std::vector<TensorType> types = infer_all(graph, dims);
  const Wiring wiring(graph);
  const auto type_of = [&](ValueId id) -> const TensorType& { return types[static_cast<std::size_t>(id)]; };
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (!product_alone(node)) continue;
    const ValueId between = node.inputs[0];
    const std::optional<std::size_t> maker = wiring.only_maker(between);
    if (!maker) continue;
    const Node& first = graph.nodes[*maker];
    if (first.op != "linear" || input_of(first, 3) != kNoValue || input_of(first, 5) != kNoValue) continue;
    if (!can_move(graph, *maker, i)) continue;
    const Shape& h = type_of(between).shape;
    if (h.empty() || element_count(h) != h.back()) continue;
    const TensorType& w = type_of(first.inputs[1]);
    const TensorType& w2 = type_of(node.inputs[1]);
    const ops::LinearPair pair = {w.dtype, w.shape[1], h.back(), w2.shape[0], first.attributes.has("gate")};
    if (w.dtype != w2.dtype || !ops::fits_one_dispatch(pair, caps, tuning)) continue;
    Node merged = first;
    merged.inputs.resize(8, kNoValue);
    merged.inputs[5] = node.inputs[1];
    merged.inputs[6] = input_of(node, 2);
    merged.inputs[7] = input_of(node, 3);
    merged.outputs = node.outputs;
    dead.insert(*maker);
    node = std::move(merged);
  }
  erase_nodes(graph, dead);
}

}  // namespace heed
