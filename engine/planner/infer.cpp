#include "planner/infer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "heed/error.h"
#include "ops/constant.h"

namespace heed {

Graph fold(const Graph& graph, const Bindings& dims) {
  KnownValues known;
  infer_all(graph, dims, &known);
  Graph folded = graph;
  // From the end: what an output or a node that stays needs, and who changes a state.
  std::set<ValueId> needed(graph.outputs.begin(), graph.outputs.end());
  std::vector<Node> kept;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    const auto wanted = [&](ValueId id) { return id != kNoValue && needed.contains(id); };
    const bool effect = std::ranges::any_of(
        node.inputs, [&](ValueId id) { return id != kNoValue && graph.value(id).kind == ValueKind::State; });
    if (!effect && std::ranges::none_of(node.outputs, wanted)) continue;
    const bool is_known =
        std::ranges::all_of(node.outputs, [&](ValueId id) { return id == kNoValue || known.contains(id); });
    if (is_known && !effect) {
      for (const ValueId id : node.outputs) {
        if (wanted(id)) kept.push_back(ops::constant_node(graph.value(id).name, known.at(id), id));
      }
      continue;
    }
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) needed.insert(id);
    }
    kept.push_back(node);
  }
  std::ranges::reverse(kept);
  folded.nodes = std::move(kept);
  return folded;
}

std::vector<ValueId> inputs_to_fix(const Graph& graph) {
  std::set<ValueId> must;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    const ops::Op& op = *ops::find_op(node.op);
    const bool output_must =
        std::ranges::any_of(node.outputs, [&](ValueId id) { return id != kNoValue && must.contains(id); });
    for (std::size_t at = 0; at < node.inputs.size(); ++at) {
      if (node.inputs[at] == kNoValue) continue;
      if ((output_must && !op.reads_shape_only(node.op)) || op.plans_by(node.op, at)) {
        must.insert(node.inputs[at]);
      }
    }
  }
  std::vector<ValueId> inputs;
  for (const ValueId id : graph.inputs) {
    if (must.contains(id)) inputs.push_back(id);
  }
  return inputs;
}

Graph fix_inputs(const Graph& graph, const std::map<std::string, HostTensor>& values) {
  Graph fixed = graph;
  std::vector<Node> constants;
  for (const auto& [name, tensor] : values) {
    const ValueId id = graph.find(name);
    if (id == kNoValue || graph.value(id).kind != ValueKind::Input) {
      throw Error(fmt::format("graph '{}' has no input '{}'", graph.name, name));
    }
    fixed.value(id).kind = ValueKind::Intermediate;
    std::erase(fixed.inputs, id);
    constants.push_back(ops::constant_node(name, tensor, id));
  }
  fixed.nodes.insert(fixed.nodes.begin(), constants.begin(), constants.end());
  return fixed;
}

}  // namespace heed
