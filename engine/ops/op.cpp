#include "ops/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "heed/error.h"
#include "ops/infer_all.h"
#include "ops/loops.h"
#include "plan/plan.h"

namespace heed::ops {

const TensorType& InferContext::input(std::size_t i) const {
  if (!has(i)) fail(fmt::format("input {} is missing", i));
  return *inputs[i];
}

void InferContext::fail(std::string_view message) const {
  throw Error(fmt::format("{} '{}': {}", node.op, node.name, message));
}

void InferContext::expect_only(std::size_t count, std::initializer_list<std::string_view> attributes) const {
  for (std::size_t i = count; i < inputs.size(); ++i) {
    if (has(i)) fail(fmt::format("has an input {}, but the op knows only the first {}", i, count));
  }
  for (const auto& [name, value] : node.attributes) {
    if (std::find(attributes.begin(), attributes.end(), name) == attributes.end()) {
      fail(fmt::format("attribute '{}' is not known to this version of heed", name));
    }
  }
}

void InferContext::expect_floats(std::size_t i, std::string_view what) const {
  if (!dtype_info(input(i).dtype).floating) {
    fail(fmt::format("{} is {}, but the op computes with floats", what, dtype_name(input(i).dtype)));
  }
}

void InferContext::expect_integers(std::size_t i, std::string_view what) const {
  if (input(i).dtype != DType::I32) fail(fmt::format("{} is {}, expected i32", what, dtype_name(input(i).dtype)));
}

void InferContext::expect_shape(std::size_t i, const Shape& shape, std::string_view what) const {
  if (input(i).shape != shape) {
    fail(fmt::format("{} is {}, expected {}", what, to_string(input(i).shape), to_string(shape)));
  }
}

void InferContext::expect_rank(std::size_t i, std::size_t rank, std::string_view what) const {
  if (input(i).shape.size() != rank) {
    fail(fmt::format("{} is {}, expected {} dimensions", what, to_string(input(i).shape), rank));
  }
}

std::int64_t InferContext::dim(std::string_view attribute) const {
  const std::string name = node.attributes.text(attribute);
  const auto found = dims.find(name);
  if (found == dims.end()) fail(fmt::format("dimension '{}' has no size", name));
  return found->second;
}

static const HostTensor& known_input(const InferContext& c, std::size_t i, std::string_view what) {
  c.input(i);
  if (i >= c.known.size() || c.known[i] == nullptr) {
    c.fail(fmt::format("{} (input {}) decides on sizes, but is only known when the graph runs", what, i));
  }
  return *c.known[i];
}

std::vector<std::int64_t> InferContext::known_integers(std::size_t i, std::string_view what) const {
  const HostTensor& tensor = known_input(*this, i, what);
  if (is_floating(tensor.type.dtype)) {
    fail(fmt::format("{} is {}, expected integers", what, dtype_name(tensor.type.dtype)));
  }
  std::vector<std::int64_t> values;
  for (const double element : tensor.data) values.push_back(to_integer(element));
  return values;
}

std::vector<double> InferContext::known_reals(std::size_t i, std::string_view what) const {
  return known_input(*this, i, what).data;
}

std::size_t InferContext::axis(std::int64_t axis, std::size_t i) const {
  const Shape& shape = input(i).shape;
  const std::optional<std::size_t> found = axis_of(axis, shape.size());
  if (!found) fail(fmt::format("axis {} is outside {}", axis, to_string(shape)));
  return *found;
}

bool Op::plans_by(std::string_view name, std::size_t input) const {
  return std::ranges::any_of(planned, [&](const PlannedInputs& inputs) {
    return inputs.op == name && input >= inputs.first && input <= inputs.last;
  });
}

bool Op::reads_shape_only(std::string_view name) const {
  return std::ranges::find(shape_only_ops, name) != shape_only_ops.end();
}

std::int64_t ReferenceContext::index(std::size_t i, std::size_t e, std::int64_t size, bool from_end,
                                     std::string_view what) const {
  const std::int64_t index = to_integer(in(i)[e]);
  if (index < (from_end ? -size : 0) || index >= size) {
    throw Error(IndexCheck{node.op, node.name, std::string(what), {size}, from_end}.message(
        static_cast<std::int64_t>(e), index));
  }
  return index < 0 ? index + size : index;
}

std::int64_t ReferenceContext::position(std::size_t i) const {
  const double value = in(i).at(0);
  if (!(value >= 0.0 && value <= 2147483647.0)) {
    throw Error(fmt::format("{} '{}': position {} is outside 0 to 2^31 - 1", node.op, node.name, value));
  }
  return static_cast<std::int64_t>(value);
}

const Op* find_op(std::string_view name) {
  static const std::map<std::string_view, const Op*> kByName = [] {
    std::map<std::string_view, const Op*> map;
    for (const Op* op : all_ops()) {
      for (const std::string_view op_name : op->names) map.emplace(op_name, op);
    }
    return map;
  }();
  const auto found = kByName.find(name);
  return found == kByName.end() ? nullptr : found->second;
}

std::vector<TensorType> FusionContext::types() const { return infer_all(graph, dims); }

bool updates(const Node& node, ValueId id) {
  const Op* op = find_op(node.op);
  return op != nullptr && std::ranges::any_of(op->updates, [&](std::size_t i) {
           return i < node.inputs.size() && node.inputs[i] == id && id != kNoValue;
         });
}

bool reads_f16_state(const Node& node, std::size_t i) {
  const Op* op = find_op(node.op);
  return op != nullptr && std::ranges::find(op->f16_states, i) != op->f16_states.end();
}

void check_states(const Graph& graph, const Node& node) {
  const Op* op = find_op(node.op);
  if (op == nullptr) return;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const Value& value = graph.value(node.inputs[i]);
    if (value.kind != ValueKind::State || value.dtype != DType::F16 || reads_f16_state(node, i)) continue;
    throw Error(fmt::format("{} '{}': state '{}' is f16, which the op does not know as its input {}; make it f32",
                            node.op, node.name, value.name, i));
  }
  for (const std::size_t i : op->updates) {
    if (i >= node.inputs.size() || node.inputs[i] == kNoValue) continue;
    const Value& value = graph.value(node.inputs[i]);
    constexpr std::string_view kKinds[] = {"an input", "a weight", "a state", "an intermediate"};
    if (value.kind != ValueKind::State) {
      throw Error(fmt::format("{} '{}': updates its input {} in place, which must be a state; '{}' is {}", node.op,
                              node.name, i, value.name, kKinds[static_cast<std::size_t>(value.kind)]));
    }
    if (std::ranges::count(node.inputs, node.inputs[i]) > 1) {
      throw Error(fmt::format("{} '{}': updates state '{}', which is another of its inputs too", node.op, node.name,
                              value.name));
    }
  }
}

std::vector<TensorType> infer_types(const InferContext& context) {
  const Op* op = find_op(context.node.op);
  if (op == nullptr) context.fail("no such op");
  std::vector<TensorType> types;
  try {
    types = op->infer(context);
  } catch (const Error& error) {
    const std::string prefix = fmt::format("{} '{}': ", context.node.op, context.node.name);
    const std::string_view message = error.what();
    if (message.substr(0, prefix.size()) == prefix) throw;
    throw Error(prefix + std::string(message));
  }
  for (const TensorType& type : types) element_count(type.shape);
  return types;
}

std::vector<const TuningStep*> all_tuning_steps() {
  std::vector<const TuningStep*> steps;
  for (const bool last : {false, true}) {
    for (const Op* op : all_ops()) {
      for (const TuningStep& step : op->tuning) {
        if (step.last == last) steps.push_back(&step);
      }
    }
  }
  return steps;
}

}  // namespace heed::ops
