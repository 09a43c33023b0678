#include "plan/fuse.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "ops/attention_block.h"
#include "ops/linear.h"
#include "plan/infer.h"
#include "plan/weight_layout.h"

namespace heed {
namespace {

ValueId input_of(const Node& node, std::size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNoValue; }

/// Who makes each value, and for how many, when a pass begins.
class Wiring {
 public:
  explicit Wiring(const Graph& graph) : uses_(count_uses(graph)) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const ValueId id : graph.nodes[i].outputs) made_by_[id] = i;
    }
  }

  /// The node that makes a value which is used once; nothing for other values.
  std::optional<std::size_t> only_maker(ValueId id) const {
    const auto maker = made_by_.find(id);
    if (id == kNoValue || maker == made_by_.end() || uses_[static_cast<std::size_t>(id)] != 1) return std::nullopt;
    return maker->second;
  }

 private:
  std::map<ValueId, std::size_t> made_by_;
  std::vector<int> uses_;
};

/// Whether node `from` computes the same when it runs as a part of the later node `to`: nothing that it reads or
/// changes is changed on the way or by that node, and nothing that it changes is read there. Only states change. Every
/// pass that moves a node asks this.
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

/// Removes nodes and, with them, the promise that somebody makes their outputs: those values stay in the list, unused.
void erase_nodes(Graph& graph, const std::set<std::size_t>& dead) {
  std::vector<Node> kept;
  kept.reserve(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!dead.contains(i)) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
}

/// A product with nothing but perhaps a bias and a residual.
bool product_alone(const Node& node) {
  return node.op == "linear" && input_of(node, 4) == kNoValue && input_of(node, 5) == kNoValue &&
         node.attributes.text("activation", "none") == "none" && !node.attributes.has("gate");
}

/// Whether an op is an activation function without parameters (ops/activation.h).
bool is_activation(std::string_view op) {
  constexpr std::string_view kNames[] = {"silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid"};
  return std::ranges::find(kNames, op) != std::end(kNames);
}

bool plain_linear(const Node& node) { return product_alone(node) && input_of(node, 3) == kNoValue; }

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

/// Rows of the stacked weight of q, k and v that belong to one head, or to a part of one if heads of k and v differ.
std::int64_t head_rows(const Graph& graph, const Node& attention) {
  const std::int64_t kv_heads = attention.attributes.integer("kv_heads", attention.attributes.integer("heads"));
  const auto rows = [&](std::size_t input) {
    return graph.value(attention.inputs[input]).shape[1].size / kv_heads;  // of caches [C, KVH*d]
  };
  return std::gcd(rows(4), rows(5));
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
    for (std::size_t user = 0; user < graph.nodes.size(); ++user) {
      Node& node = graph.nodes[user];
      if (std::find(node.inputs.begin(), node.inputs.end(), normed) == node.inputs.end()) continue;
      users.push_back(&node);
      fits = fits && node.op == "linear" && can_move(graph, i, user) && node.inputs[0] == normed &&
             std::count(node.inputs.begin(), node.inputs.end(), normed) == 1 && input_of(node, 4) == kNoValue;
    }
    if (!fits || users.empty()) continue;
    for (Node* user : users) {
      user->inputs.resize(std::max<std::size_t>(user->inputs.size(), 5), kNoValue);
      user->inputs[0] = norm.inputs[0];
      user->inputs[4] = norm.inputs[1];
      user->attributes.set("norm_eps", norm.attributes.real("eps"));
    }
    dead.insert(i);
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

void fuse_activations(Graph& graph) {
  const Wiring wiring(graph);
  std::set<std::size_t> dead;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& activation = graph.nodes[i];
    const bool leaky = activation.op == "leaky_relu";
    if (!leaky && !is_activation(activation.op)) continue;
    const std::optional<std::size_t> maker = wiring.only_maker(activation.inputs[0]);
    if (!maker || dead.contains(*maker)) continue;
    Node& node = graph.nodes[*maker];
    const bool conv = node.op == "conv" || node.op == "conv_transpose";
    if (!conv && (leaky || !plain_linear(node))) continue;
    if (node.attributes.text("activation", "none") != "none") continue;
    node.attributes.set("activation", activation.op);
    if (leaky) node.attributes.set("slope", activation.attributes.real("alpha", 0.01));
    node.outputs = activation.outputs;
    dead.insert(i);
  }
  erase_nodes(graph, dead);
}

void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  fuse_gate(graph, caps, tuning);
  fuse_rotary(graph);
  fuse_packed_attention(graph, caps, tuning);
  fuse_norm(graph, dims);
  fuse_attention_blocks(graph, dims, caps, tuning);
  fuse_pairs(graph, dims, caps, tuning);
  fuse_activations(graph);  // last, for the others join products that have none
}

}  // namespace heed
