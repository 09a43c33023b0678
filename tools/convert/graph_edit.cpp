#include "tools/convert/graph_edit.h"

#include <algorithm>

#include "heed/error.h"
#include "ops/rewrite.h"
#include "planner/infer.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

/// The values that have two dimensions whatever the sizes of the named ones are; none where those do not fit.
std::set<ValueId> rows_of(const Graph& graph) {
  constexpr std::int64_t kAnySize = 64;
  std::set<ValueId> rows;
  Bindings dims;
  for (const Value& value : graph.values) {
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty()) dims[dim.name] = kAnySize;
    }
  }
  try {
    const std::vector<TensorType> types = infer_all(graph, dims);
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i].shape.size() == 2) rows.insert(static_cast<ValueId>(i));
    }
  } catch (const Error&) {
    rows.clear();
  }
  return rows;
}

}  // namespace

GraphEdit::GraphEdit(Graph& graph, std::vector<SourceTensor>& tensors, const models::TensorTable& table)
    : graph_(graph),
      tensors_(tensors),
      table_(table),
      uses_(ops::count_uses(graph)),
      made_by_(graph.values.size(), graph.nodes.size()) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      if (id != kNoValue) made_by_[static_cast<std::size_t>(id)] = i;
    }
  }
  const auto has = [&](const char* op) { return std::ranges::find(graph.nodes, op, &Node::op) != graph.nodes.end(); };
  if (has("batch_norm") && has("linear")) rows_ = rows_of(graph);
}

const SourceTensor* GraphEdit::source(ValueId id) const {
  if (graph_.value(id).kind != ValueKind::Weight) return nullptr;
  const auto found = std::ranges::find(tensors_, graph_.value(id).name, &SourceTensor::name);
  return found == tensors_.end() ? nullptr : &*found;
}

const SourceTensor* GraphEdit::float_weight(ValueId id) const {
  const SourceTensor* tensor = id == kNoValue ? nullptr : source(id);
  if (tensor == nullptr) return nullptr;
  // Those that an edit made are not in the table.
  const auto stored = table_.find(tensor->name);
  const DType dtype = stored == table_.end() ? tensor->dtype : stored->second.dtype;
  const auto plain = [](DType type) { return is_floating(type) && dtype_info(type).block_elements == 1; };
  return plain(dtype) && plain(tensor->dtype) ? tensor : nullptr;
}

std::optional<std::vector<double>> GraphEdit::known(ValueId id) const {
  if (const SourceTensor* tensor = source(id)) {
    const std::vector<float> values = tensor_values(*tensor);
    return std::vector<double>(values.begin(), values.end());
  }
  const std::size_t maker = made_by_[static_cast<std::size_t>(id)];
  if (maker == graph_.nodes.size() || graph_.nodes[maker].op != "constant") return std::nullopt;
  if (!graph_.nodes[maker].attributes.has("values")) return std::nullopt;
  return graph_.nodes[maker].attributes.reals("values");
}

std::optional<std::vector<std::int64_t>> GraphEdit::known_integers(ValueId id) const {
  const std::size_t maker = id == kNoValue ? graph_.nodes.size() : made_by_[static_cast<std::size_t>(id)];
  if (maker == graph_.nodes.size() || graph_.nodes[maker].op != "constant") return std::nullopt;
  if (!graph_.nodes[maker].attributes.has("integers")) return std::nullopt;
  return graph_.nodes[maker].attributes.integers("integers");
}

Node* GraphEdit::only_maker(ValueId id) {
  const auto index = static_cast<std::size_t>(id);
  if (id == kNoValue || index >= made_by_.size() || uses_[index] != 1) return nullptr;
  const std::size_t maker = made_by_[index];
  return maker == graph_.nodes.size() || dead_.contains(maker) ? nullptr : &graph_.nodes[maker];
}

ValueId GraphEdit::add_weight(SourceTensor tensor) {
  // Another graph may have layers of these names with other numbers.
  const auto same = [&](const SourceTensor& other) {
    return other.dtype == tensor.dtype && other.shape == tensor.shape && other.read() == tensor.read();
  };
  auto known = std::ranges::find(tensors_, tensor.name, &SourceTensor::name);
  while (known != tensors_.end() && !same(*known)) {
    tensor.name += "'";
    known = std::ranges::find(tensors_, tensor.name, &SourceTensor::name);
  }
  graph_.values.push_back(
      {tensor.name, ValueKind::Weight, tensor.dtype, SymbolicShape(tensor.shape.begin(), tensor.shape.end()), {}});
  if (known == tensors_.end()) tensors_.push_back(std::move(tensor));
  return static_cast<ValueId>(graph_.values.size() - 1);
}

void GraphEdit::take_over(Node& node, std::size_t at) {
  node.outputs = graph_.nodes[at].outputs;
  for (const ValueId id : node.outputs) {
    if (id != kNoValue) made_by_[static_cast<std::size_t>(id)] = static_cast<std::size_t>(&node - graph_.nodes.data());
  }
  dead_.insert(at);
}

std::size_t GraphEdit::finish() {
  if (dead_.empty()) return 0;
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!dead_.contains(i)) nodes.push_back(std::move(graph_.nodes[i]));
  }
  graph_.nodes = std::move(nodes);
  const std::vector<int> uses = ops::count_uses(graph_);
  const auto unused = [&](ValueId id) { return id == kNoValue || uses[static_cast<std::size_t>(id)] == 0; };
  std::erase_if(graph_.nodes,
                [&](const Node& node) { return node.op == "constant" && std::ranges::all_of(node.outputs, unused); });
  std::vector<bool> made(graph_.values.size(), false);
  for (const Node& node : graph_.nodes) {
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) made[static_cast<std::size_t>(id)] = true;
    }
  }
  std::vector<ValueId> moved(graph_.values.size(), kNoValue);
  std::vector<Value> values;
  for (std::size_t i = 0; i < graph_.values.size(); ++i) {
    Value& value = graph_.values[i];
    const bool gone =
        (value.kind == ValueKind::Weight && uses[i] == 0) || (value.kind == ValueKind::Intermediate && !made[i]);
    if (gone) continue;
    moved[i] = static_cast<ValueId>(values.size());
    values.push_back(std::move(value));
  }
  graph_.values = std::move(values);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id == kNoValue ? id : moved[static_cast<std::size_t>(id)];
  };
  renumber(graph_.inputs);
  renumber(graph_.outputs);
  for (Node& node : graph_.nodes) {
    renumber(node.inputs);
    renumber(node.outputs);
  }
  return dead_.size();
}

}  // namespace heed::convert
