// ONNX's control flow, all of which is settled at conversion: of an If one branch is put in place, and the bodies of
// Loop and Scan are, once for each step.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "heed/error.h"
#include "ops/infer_all.h"
#include "tools/convert/onnx_import.h"
#include "tools/convert/onnx_tensor.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

/// What a value of a graph depends on: the nodes that compute it, inputs whose elements they read, and dimensions of
/// inputs without a size.
struct Ancestry {
  std::vector<Node> nodes;
  std::vector<const Value*> inputs;
  std::vector<std::string> dimensions;
};

Ancestry ancestry_of(const Graph& graph, ValueId id) {
  enum : std::uint8_t { kNothing, kType, kElements };
  std::vector<std::uint8_t> needed(graph.values.size(), kNothing);
  const auto need = [&](ValueId value, std::uint8_t what) {
    if (value == kNoValue) return;
    std::uint8_t& so_far = needed[static_cast<std::size_t>(value)];
    so_far = std::max(so_far, what);
  };
  need(id, kElements);
  Ancestry found;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    std::uint8_t most = kNothing;
    for (const ValueId output : node.outputs) {
      if (output != kNoValue) most = std::max(most, needed[static_cast<std::size_t>(output)]);
    }
    if (most == kNothing) continue;
    const ops::Op& op = *ops::find_op(node.op);
    const bool reads = most == kElements && !op.reads_shape_only(node.op);
    for (std::size_t at = 0; at < node.inputs.size(); ++at) {
      need(node.inputs[at], reads || op.plans_by(node.op, at) ? kElements : kType);
    }
    found.nodes.push_back(node);
  }
  std::ranges::reverse(found.nodes);
  for (const ValueId input : graph.inputs) {
    const Value& value = graph.value(input);
    const std::uint8_t what = needed[static_cast<std::size_t>(input)];
    if (what == kElements) found.inputs.push_back(&value);
    for (const Dim& dim : value.shape) {
      if (what != kNothing && !dim.name.empty() &&
          std::ranges::find(found.dimensions, dim.name) == found.dimensions.end())
        found.dimensions.push_back(dim.name);
    }
  }
  return found;
}

const onnx::GraphProto& body_of(const OnnxNode& node, const char* attribute) {
  const onnx::AttributeProto* body = node.find(attribute);
  if (body == nullptr || !body->has_g()) node.fail(fmt::format("has no {}", attribute));
  return body->g();
}

std::int64_t single_integer(const OnnxNode& node, const HostTensor& tensor, const char* what) {
  if (tensor.data.size() != 1)
    node.fail(fmt::format("{} is {}, expected one number", what, to_string(tensor.type.shape)));
  return to_integer(tensor.data[0]);
}

/// An attribute with a number for each of `count` operands.
std::vector<std::int64_t> for_each_of(const OnnxNode& node, const char* name, std::size_t count) {
  if (!node.has(name)) return std::vector<std::int64_t>(count, 0);
  std::vector<std::int64_t> values = node.integers(name);
  if (values.size() != count) node.fail(fmt::format("{} has {} numbers, expected {}", name, values.size(), count));
  return values;
}

/// What the steps gave, side by side along a new axis.
Operand stacked(OnnxImporter& import, const OnnxNode& node, Operands steps, std::int64_t axis, bool backwards) {
  if (backwards) std::ranges::reverse(steps);
  const Operand at = import.integers({axis});
  for (Operand& step : steps) step = import.add(node, "unsqueeze", {step, at});
  return import.add(node, "concat", steps, {{"axis", axis}});
}

/// The same of no steps, by what the body says of its output.
Operand stacked_nothing(OnnxImporter& import, const OnnxNode& node, const onnx::ValueInfoProto& output,
                        std::int64_t axis) {
  const std::string what = "output " + in_quotes(output.name());
  const auto& type = output.type().tensor_type();
  if (!type.has_shape()) node.fail(fmt::format("makes no step, and its body does not say the shape of {}", what));
  HostTensor nothing{{onnx_type(type.elem_type(), what), {}}, {}};
  for (const auto& dim : type.shape().dim()) {
    if (!dim.has_dim_value() || dim.dim_value() < 0) {
      node.fail(fmt::format("makes no step, and its body does not say all sizes of {}", what));
    }
    nothing.type.shape.push_back(dim.dim_value());
  }
  const auto rank = static_cast<std::int64_t>(nothing.type.shape.size()) + 1;
  if (axis < -rank || axis >= rank) node.fail(fmt::format("stacks {} along axis {}", what, axis));
  nothing.type.shape.insert(nothing.type.shape.begin() + (axis < 0 ? axis + rank : axis), 0);
  return import.tensor(std::move(nothing));
}

}  // namespace

std::shared_ptr<const HostTensor> OnnxImporter::resolve(const Operand& operand, std::string& why) {
  if (operand.constant != nullptr) return operand.constant;
  Graph& all = builder_.graph();
  Ancestry found = ancestry_of(all, operand.id);
  if (!found.inputs.empty()) {
    const Value& input = *found.inputs.front();
    why = fmt::format(
        "what the input {} ({} {}) holds, which is only known when the model runs; fix it with --set {}=VALUE",
        in_quotes(input.name), dtype_name(input.dtype), to_string(input.shape), input.name);
    return nullptr;
  }
  if (!found.dimensions.empty()) {
    why = fmt::format("the size of dimension {}, which is only known when the model runs; fix it with --set {}=N",
                      in_quotes(found.dimensions.front()), found.dimensions.front());
    return nullptr;
  }
  Graph part;
  part.name = all.name;
  part.values = all.values;
  part.nodes = std::move(found.nodes);
  KnownValues known;
  infer_all(part, {}, &known);
  const auto value = known.find(operand.id);
  if (value == known.end()) {
    why = "values that heed computes when the model runs";
    return nullptr;
  }
  value->second.type.dtype = operand.dtype;
  return std::make_shared<const HostTensor>(std::move(value->second));
}

void OnnxImporter::import_body(const onnx::GraphProto& body, const std::string& prefix, Scope& scope) {
  ++unrolling_;
  for (const onnx::NodeProto& node : body.node()) import_node(node, scope, prefix, opset_);
  --unrolling_;
}

std::vector<Operand> OnnxImporter::results_of(const OnnxNode& node, const onnx::GraphProto& body, const Scope& scope) {
  std::vector<Operand> results;
  for (const onnx::ValueInfoProto& output : body.output()) {
    const auto found = scope.find(output.name());
    if (found == scope.end()) node.fail(fmt::format("nothing in it makes {}", in_quotes(output.name())));
    results.push_back(found->second);
  }
  return results;
}

std::vector<Operand> OnnxImporter::take_branch(const OnnxNode& node, const Operand& condition, const Scope& scope) {
  std::string why;
  const auto known = resolve(condition, why);
  if (known == nullptr) node.fail("which branch is taken depends on " + why);
  if (known->data.size() != 1) {
    node.fail(fmt::format("the condition is {}, expected one value", to_string(known->type.shape)));
  }
  const onnx::GraphProto& branch = body_of(node, known->data[0] != 0.0 ? "then_branch" : "else_branch");
  Scope own = scope;
  import_initializers(branch, own, false);
  import_body(branch, node.label() + "/", own);
  return results_of(node, branch, own);
}

std::vector<Operand> OnnxImporter::unroll_loop(const OnnxNode& node, const std::vector<Operand>& inputs,
                                               const Scope& scope) {
  const onnx::GraphProto& body = body_of(node, "body");
  const std::size_t carried = inputs.size() < 2 ? 0 : inputs.size() - 2;
  if (static_cast<std::size_t>(body.input_size()) != carried + 2 ||
      static_cast<std::size_t>(body.output_size()) < carried + 1) {
    node.fail(fmt::format("carries {} values, but its body has {} inputs and {} outputs", carried, body.input_size(),
                          body.output_size()));
  }
  const std::size_t scans = static_cast<std::size_t>(body.output_size()) - carried - 1;
  std::string why;
  std::int64_t steps = std::numeric_limits<std::int64_t>::max();
  if (const Operand trips = optional(inputs, 0); !trips.absent()) {
    const auto known = resolve(trips, why);
    if (known == nullptr) node.fail("how often it goes round depends on " + why);
    steps = single_integer(node, *known, "the trip count");
  }
  Operand condition = optional(inputs, 1);
  if (condition.absent()) condition = number(1.0, DType::Bool);
  Operands values(inputs.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(2, inputs.size())), inputs.end());
  std::vector<Operands> made(scans);
  Scope own = scope;
  import_initializers(body, own, false);
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto known = resolve(condition, why);
    if (known == nullptr) node.fail(fmt::format("whether it goes on after {} steps depends on {}", step, why));
    if (single_integer(node, *known, "the condition") == 0) break;
    count_node(node);
    own[body.input(0).name()] = integer(step);
    own[body.input(1).name()] = tensor(*known);
    for (std::size_t i = 0; i < carried; ++i) own[body.input(static_cast<int>(i) + 2).name()] = values[i];
    import_body(body, fmt::format("{}/{}/", node.label(), step), own);
    const Operands results = results_of(node, body, own);
    condition = results[0];
    for (std::size_t i = 0; i < carried; ++i) values[i] = results[1 + i];
    for (std::size_t i = 0; i < scans; ++i) made[i].push_back(results[1 + carried + i]);
  }
  for (std::size_t i = 0; i < scans; ++i) {
    values.push_back(made[i].empty() ? stacked_nothing(*this, node, body.output(static_cast<int>(1 + carried + i)), 0)
                                     : stacked(*this, node, std::move(made[i]), 0, false));
  }
  return values;
}

std::vector<Operand> OnnxImporter::unroll_scan(const OnnxNode& node, const std::vector<Operand>& inputs,
                                               const Scope& scope) {
  if (node.opset() < 9) node.fail("goes over batches too, as Scan of opset 8 does; export with opset 9 or later");
  const onnx::GraphProto& body = body_of(node, "body");
  const std::int64_t given = node.integer("num_scan_inputs", 0);
  if (given < 1 || given > static_cast<std::int64_t>(inputs.size())) {
    node.fail(fmt::format("num_scan_inputs is {}, but it has {} inputs", given, inputs.size()));
  }
  const auto scanned = static_cast<std::size_t>(given);
  const std::size_t carried = inputs.size() - scanned;
  if (static_cast<std::size_t>(body.input_size()) != inputs.size() ||
      static_cast<std::size_t>(body.output_size()) < carried) {
    node.fail(fmt::format("has {} inputs and carries {} values, but its body has {} inputs and {} outputs",
                          inputs.size(), carried, body.input_size(), body.output_size()));
  }
  const std::size_t scans = static_cast<std::size_t>(body.output_size()) - carried;
  const std::vector<std::int64_t> in_axes = for_each_of(node, "scan_input_axes", scanned);
  const std::vector<std::int64_t> in_directions = for_each_of(node, "scan_input_directions", scanned);
  const std::vector<std::int64_t> out_axes = for_each_of(node, "scan_output_axes", scans);
  const std::vector<std::int64_t> out_directions = for_each_of(node, "scan_output_directions", scans);

  std::int64_t steps = -1;
  for (std::size_t i = 0; i < scanned; ++i) {
    std::string why;
    const auto known = resolve(size_of(node, required(node, inputs, carried + i), in_axes[i]), why);
    if (known == nullptr) node.fail("how often it goes round depends on " + why);
    const std::int64_t size = single_integer(node, *known, "the size of the scanned axis");
    if (i > 0 && size != steps) node.fail(fmt::format("scans {} and {} steps at once", steps, size));
    steps = size;
  }
  std::vector<Operands> slices(scanned);
  for (std::size_t i = 0; i < scanned && steps > 0; ++i) {
    count_node(node, steps);
    slices[i] = add_many(node, "split",
                         {inputs[carried + i], integers(std::vector<std::int64_t>(static_cast<std::size_t>(steps), 1))},
                         {{"axis", in_axes[i]}}, static_cast<std::size_t>(steps));
    if (in_directions[i] != 0) std::ranges::reverse(slices[i]);
  }
  Operands values(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(carried));
  std::vector<Operands> made(scans);
  Scope own = scope;
  import_initializers(body, own, false);
  for (std::int64_t step = 0; step < steps; ++step) {
    count_node(node);
    for (std::size_t i = 0; i < carried; ++i) own[body.input(static_cast<int>(i)).name()] = values[i];
    for (std::size_t i = 0; i < scanned; ++i) {
      own[body.input(static_cast<int>(carried + i)).name()] =
          add(node, "squeeze", {slices[i][static_cast<std::size_t>(step)], integers({in_axes[i]})});
    }
    import_body(body, fmt::format("{}/{}/", node.label(), step), own);
    const Operands results = results_of(node, body, own);
    for (std::size_t i = 0; i < carried; ++i) values[i] = results[i];
    for (std::size_t i = 0; i < scans; ++i) made[i].push_back(results[carried + i]);
  }
  for (std::size_t i = 0; i < scans; ++i) {
    values.push_back(made[i].empty()
                         ? stacked_nothing(*this, node, body.output(static_cast<int>(carried + i)), out_axes[i])
                         : stacked(*this, node, std::move(made[i]), out_axes[i], out_directions[i] != 0));
  }
  return values;
}

}  // namespace heed::convert
