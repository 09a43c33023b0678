#include "ops/rewrite.h"

#include <algorithm>

#include "ops/op.h"

namespace heed::ops {

ValueId input_of(const Node& node, std::size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNoValue; }

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) ++uses[static_cast<std::size_t>(id)];
    }
  }
  for (const ValueId id : graph.outputs) ++uses[static_cast<std::size_t>(id)];
  return uses;
}

Wiring::Wiring(const Graph& graph) : uses_(count_uses(graph)) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) made_by_[id] = i;
  }
}

std::optional<std::size_t> Wiring::only_maker(ValueId id) const {
  const auto maker = made_by_.find(id);
  if (id == kNoValue || maker == made_by_.end() || uses_[static_cast<std::size_t>(id)] != 1) return std::nullopt;
  return maker->second;
}

bool can_move(const Graph& graph, std::size_t from, std::size_t to) {
  const auto state = [&](ValueId id) { return id != kNoValue && graph.value(id).kind == ValueKind::State; };
  const Node& moved = graph.nodes[from];
  for (std::size_t i = from + 1; i <= to; ++i) {
    const Node& passed = graph.nodes[i];
    for (const ValueId id : moved.inputs) {
      if (state(id) && updates(passed, id)) return false;
    }
    for (const ValueId id : passed.inputs) {
      if (state(id) && updates(moved, id)) return false;
    }
  }
  return true;
}

void erase_nodes(Graph& graph, const std::set<std::size_t>& dead) {
  std::vector<Node> kept;
  kept.reserve(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!dead.contains(i)) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
}

void fuse_into_maker(Graph& graph, const std::function<bool(Node& maker, const Node& reader)>& takes) {
  const Wiring wiring(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& reader = graph.nodes[i];
    if (reader.inputs.empty()) continue;
    const std::optional<std::size_t> maker = wiring.only_maker(reader.inputs[0]);
    if (!maker || dead.contains(*maker) || !takes(graph.nodes[*maker], reader)) continue;
    graph.nodes[*maker].outputs = reader.outputs;
    dead.insert(i);
  }
  erase_nodes(graph, dead);
}

}  // namespace heed::ops
