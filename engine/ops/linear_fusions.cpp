// Fusion passes that make one linear of several nodes.
#include <algorithm>
#include <optional>
#include <set>

#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/rewrite.h"
#include "plan/weight_layout.h"

namespace heed::ops {
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
  if (stacked.shape.size() >= 2) {
    for (std::size_t i = 1; i + 1 < stacked.shape.size(); ++i) rows *= stacked.shape[i].size;
    const DeviceWeight weight = matrix_weight(stacked.dtype, rows, stacked.shape.back().size,
                                              tuning.of(stacked.dtype).weight_band(rows, false, 0));
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

/// Where a product has its norm's weight.
std::size_t norm_input(const Node& node) { return node.op == "linear" ? 4 : 3; }

}  // namespace

bool product_alone(const Node& node) {
  return node.op == "linear" && input_of(node, 4) == kNoValue && input_of(node, 5) == kNoValue &&
         node.attributes.text("activation", "none") == "none" && !node.attributes.has("gate");
}

bool plain_linear(const Node& node) { return product_alone(node) && input_of(node, 3) == kNoValue; }

bool plain_expert_linear(const Node& node) {
  return node.op == "expert_linear" && input_of(node, 3) == kNoValue && !node.attributes.has("gate") &&
         node.attributes.text("activation", "none") == "none";
}

std::optional<Node> merge_linears(Graph& graph, const std::vector<const Node*>& nodes, const DeviceCaps& caps,
                                  const Tuning& tuning) {
  std::vector<ValueId> weights;
  std::vector<ValueId> biases;
  for (const Node* node : nodes) {
    if (!plain_linear(*node) || node->inputs[0] != nodes.front()->inputs[0]) return std::nullopt;
    if (node->attributes.integer("halves", 2) != nodes.front()->attributes.integer("halves", 2)) return std::nullopt;
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

std::optional<Node> merge_expert_linears(Graph& graph, const Node& first, const Node& second, const DeviceCaps& caps,
                                         const Tuning& tuning) {
  if (first.inputs[0] != second.inputs[0] || first.inputs[2] != second.inputs[2]) return std::nullopt;
  const std::optional<Value> weight = stack(graph, {first.inputs[1], second.inputs[1]}, caps, tuning);
  if (!weight) return std::nullopt;
  Node merged = first;
  merged.inputs[1] = add_weight(graph, *weight);
  return merged;
}

void fuse_gate(const FusionContext& context) {
  Graph& graph = context.graph;
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
    const bool experts = plain_expert_linear(first) && plain_expert_linear(second);
    if (!experts && (!plain_linear(first) || !plain_linear(second))) continue;
    // A gate broadcasts; only halves of equal width can be told apart in one weight.
    if (graph.value(first.inputs[1]).shape != graph.value(second.inputs[1]).shape) continue;
    std::optional<Node> merged = experts ? merge_expert_linears(graph, first, second, context.caps, context.tuning)
                                         : merge_linears(graph, {&first, &second}, context.caps, context.tuning);
    if (!merged) continue;
    dead.insert({*a, *b});
    merged->name = gate.name;
    merged->outputs = gate.outputs;
    merged->attributes.set("gate", gate.attributes.text("activation"));
    gate = std::move(*merged);
  }
  erase_nodes(graph, dead);
}

void fuse_norm(const FusionContext& context) {
  Graph& graph = context.graph;
  const std::vector<TensorType> types = context.types();
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& norm = graph.nodes[i];
    if (norm.op != "rms_norm") continue;
    const ValueId normed = norm.outputs[0];
    const Shape& shape = types[static_cast<std::size_t>(normed)].shape;
    if (shape.empty() || element_count(shape) != shape.back()) continue;
    if (std::find(graph.outputs.begin(), graph.outputs.end(), normed) != graph.outputs.end()) continue;
    std::vector<Node*> users;
    bool fits = true;
    for (std::size_t user = 0; user < graph.nodes.size(); ++user) {
      Node& node = graph.nodes[user];
      if (std::find(node.inputs.begin(), node.inputs.end(), normed) == node.inputs.end()) continue;
      users.push_back(&node);
      const bool product = node.op == "linear" || node.op == "expert_linear";
      fits = fits && product && can_move(graph, i, user) && node.inputs[0] == normed &&
             std::count(node.inputs.begin(), node.inputs.end(), normed) == 1 &&
             input_of(node, norm_input(node)) == kNoValue;
    }
    if (!fits || users.empty()) continue;
    for (Node* user : users) {
      const std::size_t norm_weight = norm_input(*user);
      user->inputs.resize(std::max(user->inputs.size(), norm_weight + 1), kNoValue);
      user->inputs[0] = norm.inputs[0];
      user->inputs[norm_weight] = norm.inputs[1];
      user->attributes.set("norm_eps", norm.attributes.real("eps"));
    }
    dead.insert(i);
  }
  erase_nodes(graph, dead);
}

void fuse_pairs(const FusionContext& context) {
  Graph& graph = context.graph;
  const std::vector<TensorType> types = context.types();
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
    const LinearPair pair = {w.dtype, w.shape[1], h.back(), w2.shape[0], first.attributes.has("gate")};
    if (w.dtype != w2.dtype || !fits_one_dispatch(pair, context.caps, context.tuning)) continue;
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

void fuse_linear_activation(const FusionContext& context) {
  Graph& graph = context.graph;
  const auto takes = [](Node& maker, const Node& reader) {
    if ((!plain_linear(maker) && !plain_expert_linear(maker)) || !is_activation(reader.op)) return false;
    maker.attributes.set("activation", reader.op);
    return true;
  };
  // Another shape between the two changes no element.
  const Wiring wiring(graph);
  fuse_into_maker(graph, [&](Node& maker, const Node& reader) {
    if (maker.op != "reshape") return takes(maker, reader);
    const std::optional<std::size_t> before = wiring.only_maker(maker.inputs[0]);
    return before && takes(graph.nodes[*before], reader);
  });
}

}  // namespace heed::ops
