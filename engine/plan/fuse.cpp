#include "plan/fuse.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "plan/infer.h"
#include "plan/weight_layout.h"

namespace heed {
namespace {

ValueId input_of(const Node& node, std::size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNoValue; }

std::map<ValueId, std::size_t> makers(const Graph& graph) {
  std::map<ValueId, std::size_t> made_by;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) made_by[id] = i;
  }
  return made_by;
}

/// Removes nodes and, with them, the promise that somebody makes their outputs: those values stay in the list, unused.
void erase_nodes(Graph& graph, const std::set<std::size_t>& dead) {
  std::vector<Node> kept;
  kept.reserve(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!dead.contains(i)) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
}

bool plain_linear(const Node& node) {
  return node.op == "linear" && input_of(node, 3) == kNoValue && input_of(node, 4) == kNoValue &&
         node.attributes.text("activation", "none") == "none" && !node.attributes.has("gate");
}

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
    DeviceWeight weight;
    weight.layout = WeightLayout::Matrix;
    weight.dtype = stacked.dtype;
    weight.columns = stacked.shape[1].size;
    weight.row_count = rows;
    weight.band = tuning.weight_band(rows, false);
    lay_out(weight);
    if (weight.bytes > std::min(caps.max_storage_buffer_range, caps.max_memory_allocation - kPlaneAlignment)) {
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

/// One linear in place of several with the same input: the nodes' weights and biases stacked; nothing when they differ.
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

}  // namespace

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

void fuse_gate(Graph& graph, const DeviceCaps& caps, const Tuning& tuning) {
  const std::map<ValueId, std::size_t> made_by = makers(graph);
  const std::vector<int> uses = count_uses(graph);
  std::set<std::size_t> dead;
  for (Node& gate : graph.nodes) {
    if (gate.op != "gate") continue;
    const auto a = made_by.find(gate.inputs[0]);
    const auto b = made_by.find(gate.inputs[1]);
    if (a == made_by.end() || b == made_by.end() || a == b) continue;
    if (uses[static_cast<std::size_t>(gate.inputs[0])] != 1 || uses[static_cast<std::size_t>(gate.inputs[1])] != 1)
      continue;
    const Node& first = graph.nodes[a->second];
    const Node& second = graph.nodes[b->second];
    if (!plain_linear(first) || !plain_linear(second)) continue;
    // A gate broadcasts; only halves of equal width can be told apart in one weight.
    if (graph.value(first.inputs[1]).shape != graph.value(second.inputs[1]).shape) continue;
    std::optional<Node> merged = merge_linears(graph, {&first, &second}, caps, tuning);
    if (!merged) continue;
    dead.insert({a->second, b->second});
    merged->name = gate.name;
    merged->outputs = gate.outputs;
    merged->attributes.set("gate", gate.attributes.text("activation"));
    gate = std::move(*merged);
  }
  erase_nodes(graph, dead);
}

void fuse_rotary(Graph& graph) {
  const std::map<ValueId, std::size_t> made_by = makers(graph);
  const std::vector<int> uses = count_uses(graph);
  std::set<std::size_t> dead;
  for (Node& attention : graph.nodes) {
    if (attention.op != "attention" || input_of(attention, 4) == kNoValue) continue;
    const auto q = made_by.find(attention.inputs[0]);
    const auto k = made_by.find(attention.inputs[1]);
    if (q == made_by.end() || k == made_by.end()) continue;
    const Node& rotate_q = graph.nodes[q->second];
    const Node& rotate_k = graph.nodes[k->second];
    if (rotate_q.op != "rotary" || rotate_k.op != "rotary") continue;
    if (uses[static_cast<std::size_t>(attention.inputs[0])] != 1 ||
        uses[static_cast<std::size_t>(attention.inputs[1])] != 1)
      continue;
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
    dead.insert({q->second, k->second});
  }
  erase_nodes(graph, dead);
}

void fuse_packed_attention(Graph& graph, const DeviceCaps& caps, const Tuning& tuning) {
  const std::map<ValueId, std::size_t> made_by = makers(graph);
  const std::vector<int> uses = count_uses(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op != "attention" || input_of(graph.nodes[i], 4) == kNoValue) continue;
    std::vector<const Node*> linears;
    std::vector<std::size_t> indices;
    for (std::size_t input = 0; input < 3; ++input) {
      const auto maker = made_by.find(graph.nodes[i].inputs[input]);
      if (maker == made_by.end() || uses[static_cast<std::size_t>(graph.nodes[i].inputs[input])] != 1) break;
      linears.push_back(&graph.nodes[maker->second]);
      indices.push_back(maker->second);
    }
    if (linears.size() != 3) continue;
    std::optional<Node> merged = merge_linears(graph, linears, caps, tuning);
    if (!merged) continue;
    // The last of the three stands where all their inputs are ready and nobody has read them yet.
    const std::size_t last = *std::max_element(indices.begin(), indices.end());
    for (const std::size_t index : indices) {
      if (index != last) dead.insert(index);
    }
    Node& attention = graph.nodes[i];
    merged->name = attention.name + ".qkv";
    const ValueId q = attention.inputs[0];
    attention.attributes.set("packed", std::int64_t{1});
    attention.inputs[1] = attention.inputs[2] = kNoValue;
    merged->outputs = {q};
    graph.nodes[last] = std::move(*merged);
  }
  erase_nodes(graph, dead);
}

void fuse_norm(Graph& graph, const Bindings& dims) {
  const std::vector<TensorType> types = infer_all(graph, dims);
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
    for (Node& node : graph.nodes) {
      if (std::find(node.inputs.begin(), node.inputs.end(), normed) == node.inputs.end()) continue;
      users.push_back(&node);
      fits = fits && node.op == "linear" && node.inputs[0] == normed &&
             std::count(node.inputs.begin(), node.inputs.end(), normed) == 1 && input_of(node, 4) == kNoValue;
    }
    if (!fits || users.empty()) continue;
    for (Node* user : users) {
      user->inputs.resize(5, kNoValue);
      user->inputs[0] = norm.inputs[0];
      user->inputs[4] = norm.inputs[1];
      user->attributes.set("norm_eps", norm.attributes.real("eps"));
    }
    dead.insert(i);
  }
  erase_nodes(graph, dead);
}

void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  fuse_gate(graph, caps, tuning);
  fuse_rotary(graph);
  fuse_packed_attention(graph, caps, tuning);
  fuse_norm(graph, dims);
}

}  // namespace heed
