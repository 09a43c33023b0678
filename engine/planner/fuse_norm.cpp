#include <algorithm>
#include <set>

#include "planner/fuse.h"
#include "planner/infer.h"
#include "planner/rewrite.h"

namespace heed {

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

}  // namespace heed
