#include "planner/rewrite.h"

#include <algorithm>

#include "ops/op.h"
#include "plan/weight_layout.h"

namespace heed {

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
      if (state(id) && ops::updates(passed, id)) return false;
    }
    for (const ValueId id : passed.inputs) {
      if (state(id) && ops::updates(moved, id)) return false;
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

bool product_alone(const Node& node) {
  return node.op == "linear" && input_of(node, 4) == kNoValue && input_of(node, 5) == kNoValue &&
         node.attributes.text("activation", "none") == "none" && !node.attributes.has("gate");
}

bool plain_linear(const Node& node) { return product_alone(node) && input_of(node, 3) == kNoValue; }

namespace {

/// The weights stacked along their first dimension, or nothing when they cannot be: other types or row lengths, vectors
/// in blocks, or more bytes than one binding holds.
std::optional<Value> stack(const Graph& graph, const std::vector<ValueId>& ids, const DeviceCaps& caps,
                           const Tuning& tuning) {
  Value stacked = graph.value(ids.front());
  stacked.parts.clear();
  stacked.name.clear();
  std::int64_t rows = 0;
  for (const ValueId id : ids) {
    const Value& value = graph.value(id);
    if (value.kind != ValueKind::Weight || !value.parts.empty() || value.dtype != stacked.dtype ||
        value.shape.size() != stacked.shape.size() ||
        !std::equal(value.shape.begin() + 1, value.shape.end(), stacked.shape.begin() + 1)) {
      return std::nullopt;
    }
    rows += value.shape[0].size;
    stacked.parts.push_back(value.name);
    stacked.name += (stacked.name.empty() ? "" : "+") + value.name;
  }
  // A short part would end within a block.
  if (stacked.shape.size() == 1 && dtype_info(stacked.dtype).block_elements > 1) return std::nullopt;
  stacked.shape[0] = Dim(rows);
  if (stacked.shape.size() == 2) {
    const DeviceWeight weight =
        matrix_weight(stacked.dtype, rows, stacked.shape[1].size, tuning.weight_band(rows, false, 0));
    if (weight.bytes > std::min(caps.max_storage_buffer_range, largest_weight(caps))) {
      return std::nullopt;
    }
  }
  return stacked;
}

ValueId add_weight(Graph& graph, Value value) {
  for (ValueId known; (known = graph.find(value.name)) != kNoValue; value.name += "'") {
    if (graph.value(known).parts == value.parts) return known;  // else another value happens to be called so
  }
  graph.values.push_back(std::move(value));
  return static_cast<ValueId>(graph.values.size() - 1);
}

}  // namespace

std::optional<Node> merge_linears(Graph& graph, const std::vector<const Node*>& nodes, const DeviceCaps& caps,
                                  const Tuning& tuning) {
  std::vector<ValueId> weights;
  std::vector<ValueId> biases;
  for (const Node* node : nodes) {
    if (!plain_linear(*node) || node->inputs[0] != nodes.front()->inputs[0]) return std::nullopt;
    weights.push_back(node->inputs[1]);
    if (input_of(*node, 2) != kNoValue) biases.push_back(node->inputs[2]);
  }
  if (!biases.empty() && biases.size() != nodes.size()) return std::nullopt;
  const std::optional<Value> weight = stack(graph, weights, caps, tuning);
  if (!weight) return std::nullopt;
  ValueId bias = kNoValue;
  if (!biases.empty()) {
    const std::optional<Value> stacked = stack(graph, biases, caps, tuning);
    if (!stacked) return std::nullopt;
    bias = add_weight(graph, *stacked);
  }
  Node merged = *nodes.front();
  merged.inputs = {nodes.front()->inputs[0], add_weight(graph, *weight), bias};
  return merged;
}

}  // namespace heed
