#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "planner/fuse.h"
#include "planner/rewrite.h"

namespace heed {
namespace {

/// Whether an op is an activation function without parameters (ops/activation.h).
bool is_activation(std::string_view op) {
  constexpr std::string_view kNames[] = {"silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid"};
  return std::ranges::find(kNames, op) != std::end(kNames);
}

}  // namespace

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

}  // namespace heed
