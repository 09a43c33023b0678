#include "reference/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "planner/infer.h"

namespace heed {
namespace {

std::size_t elements_of(const TensorType& type) { return static_cast<std::size_t>(element_count(type.shape)); }

/// All elements of a weight, parts stacked.
std::vector<double> weight_data(const Graph& graph, const Value& value, const TensorType& type,
                                const WeightLookup& weights) {
  if (value.parts.empty()) return weights(value.name, elements_of(type));
  // Fusion leaves the parts' own values in the graph, which say how many rows each has.
  std::vector<double> data;
  data.reserve(elements_of(type));
  for (const std::string& part : value.parts) {
    const ValueId id = graph.find(part);
    if (id == kNoValue)
      throw Error(fmt::format("graph '{}': weight '{}' has no part '{}'", graph.name, value.name, part));
    const std::vector<double> rows = weights(part, elements_of({value.dtype, bind(graph.value(id).shape, {})}));
    data.insert(data.end(), rows.begin(), rows.end());
  }
  return data;
}

/// The node after which nobody needs a value; nodes.size() for outputs of the graph.
std::vector<std::size_t> last_uses(const Graph& graph) {
  std::vector<std::size_t> last(graph.values.size(), 0);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const auto* ids : {&graph.nodes[i].inputs, &graph.nodes[i].outputs}) {
      for (const ValueId id : *ids) {
        if (id != kNoValue) last[static_cast<std::size_t>(id)] = i;
      }
    }
  }
  for (const ValueId id : graph.outputs) last[static_cast<std::size_t>(id)] = graph.nodes.size();
  return last;
}

}  // namespace

std::map<std::string, HostTensor> evaluate(const Graph& graph, const Bindings& dims, const WeightLookup& weights,
                                           std::map<std::string, HostTensor>& tensors, const NodeObserver& observer) {
  const std::vector<TensorType> types = infer_all(graph, dims);
  const std::vector<std::size_t> last = last_uses(graph);
  std::vector<HostTensor> own(graph.values.size());             // weights and intermediates
  std::vector<HostTensor*> live(graph.values.size(), nullptr);  // by ValueId
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    live[i] = &own[i];
    if (value.kind != ValueKind::Input && value.kind != ValueKind::State) continue;
    const auto found = tensors.find(value.name);
    if (found == tensors.end()) throw Error(fmt::format("graph '{}': '{}' is not given", graph.name, value.name));
    if (found->second.data.size() != elements_of(types[i])) {
      throw Error(fmt::format("graph '{}': '{}' has {} elements, expected {} for {}", graph.name, value.name,
                              found->second.data.size(), elements_of(types[i]), to_string(types[i].shape)));
    }
    found->second.type = types[i];
    live[i] = &found->second;
  }

  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    ops::ReferenceContext context{node, {}, {}};
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) {
        context.inputs.push_back(nullptr);
        continue;
      }
      const auto index = static_cast<std::size_t>(id);
      HostTensor* tensor = live[index];
      if (graph.values[index].kind == ValueKind::Weight) {
        *tensor = {types[index], weight_data(graph, graph.values[index], types[index], weights)};
        if (tensor->data.size() != elements_of(types[index])) {
          throw Error(fmt::format("graph '{}': weight '{}' has {} elements, expected {} for {}", graph.name,
                                  graph.values[index].name, tensor->data.size(), elements_of(types[index]),
                                  to_string(types[index].shape)));
        }
      }
      context.inputs.push_back(tensor);
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) {
        context.outputs.push_back(nullptr);
        continue;
      }
      HostTensor* tensor = live[static_cast<std::size_t>(id)];
      tensor->type = types[static_cast<std::size_t>(id)];
      tensor->data.assign(elements_of(tensor->type), 0.0);
      context.outputs.push_back(tensor);
    }
    ops::find_op(node.op)->reference(context);
    if (observer) observer(context);
    for (const auto* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids) {
        if (id == kNoValue) continue;
        const auto index = static_cast<std::size_t>(id);
        const bool weight = graph.values[index].kind == ValueKind::Weight;
        if (weight || last[index] == n) std::vector<double>().swap(own[index].data);
      }
    }
  }

  std::map<std::string, HostTensor> outputs;
  for (const ValueId id : graph.outputs) {
    outputs.emplace(graph.value(id).name, *live[static_cast<std::size_t>(id)]);
  }
  return outputs;
}

}  // namespace heed
