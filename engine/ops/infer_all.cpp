#include "ops/infer_all.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {
namespace {

// Larger tensors are data, which a device computes faster, and from which no sizes follow.
constexpr std::int64_t kMostKnown = 65536;

/// Runs a node through its reference when all that it reads is known.
void evaluate_known(const Node& node, const std::vector<TensorType>& types, const std::vector<TensorType>& made,
                    KnownValues& known) {
  const bool shape_only = ops::find_op(node.op)->reads_shape_only(node.op);
  std::vector<HostTensor> copies;
  copies.reserve(node.inputs.size() + node.outputs.size());
  ops::ReferenceContext context{node, {}, {}};
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) {
      context.inputs.push_back(nullptr);
      continue;
    }
    const auto value = known.find(id);
    if (value == known.end() && !shape_only) return;
    copies.push_back(value == known.end() ? HostTensor{types[static_cast<std::size_t>(id)], {}} : value->second);
    context.inputs.push_back(&copies.back());
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (element_count(made[i].shape) > kMostKnown) return;
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    copies.push_back({made[i], std::vector<double>(static_cast<std::size_t>(element_count(made[i].shape)), 0.0)});
    context.outputs.push_back(node.outputs[i] == kNoValue ? nullptr : &copies.back());
  }
  ops::find_op(node.op)->reference(context);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue) known[node.outputs[i]] = std::move(*context.outputs[i]);
  }
}

}  // namespace

std::vector<TensorType> infer_all(const Graph& graph, const Bindings& dims, KnownValues* known) {
  KnownValues own;
  KnownValues& values = known == nullptr ? own : *known;
  std::vector<TensorType> types(graph.values.size());
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.kind != ValueKind::Intermediate) types[i] = {value.dtype, bind(value.shape, dims)};
  }
  for (const Node& node : graph.nodes) {
    ops::check_states(graph, node);
    ops::InferContext context{node, {}, dims};
    for (const ValueId id : node.inputs) {
      context.inputs.push_back(id == kNoValue ? nullptr : &types[static_cast<std::size_t>(id)]);
      const auto value = values.find(id);
      context.known.push_back(value == values.end() ? nullptr : &value->second);
    }
    const std::vector<TensorType> made = ops::infer_types(context);
    if (made.size() < node.outputs.size()) {
      throw Error(
          fmt::format("{} '{}' has {} outputs; the op makes {}", node.op, node.name, node.outputs.size(), made.size()));
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNoValue) types[static_cast<std::size_t>(node.outputs[i])] = made[i];
    }
    evaluate_known(node, types, made, values);
  }
  return types;
}

}  // namespace heed
