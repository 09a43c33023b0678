#include "plan/infer.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {

std::vector<TensorType> infer_all(const Graph& graph, const Bindings& dims) {
  std::vector<TensorType> types(graph.values.size());
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.kind != ValueKind::Intermediate) types[i] = {value.dtype, bind(value.shape, dims)};
  }
  for (const Node& node : graph.nodes) {
    ops::InferContext context{node, {}, dims};
    for (const ValueId id : node.inputs) {
      context.inputs.push_back(id == kNoValue ? nullptr : &types[static_cast<std::size_t>(id)]);
    }
    const std::vector<TensorType> made = ops::infer_types(context);
    if (made.size() < node.outputs.size()) {
      throw Error(
          fmt::format("{} '{}' has {} outputs; the op makes {}", node.op, node.name, node.outputs.size(), made.size()));
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNoValue) types[static_cast<std::size_t>(node.outputs[i])] = made[i];
    }
  }
  return types;
}

}  // namespace heed
