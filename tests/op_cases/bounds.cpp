#include "tests/op_cases/bounds.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "graph/quantised.h"
#include "planner/infer.h"
#include "reference/evaluate.h"
#include "reference/rounding.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

constexpr double kTinyQuotient = 0x1p-119;  // and so much of x / (1 + exp(-x)) is lost where exp overflows
constexpr double kFloatMax = 3.4028234663852886e38;
/// How many of the nudged runs' standard deviations a device may be off. A device's errors and the nudges are both sums
/// of independent ones, and the largest of a million such sums is five deviations off.
constexpr double kDeviations = 8.0;
constexpr int kRuns = 16;
/// Where the reference is slow it is run less often, and neighbours share what was seen.
constexpr int kFewRuns = 4;
constexpr std::size_t kNeighbours = 16;
constexpr double kSlow = 1e7;  // products

/// Where caches are f16, a key that a device computes, a hair off, may be rounded to another neighbour than the
/// reference's, thousands of times as far off as the hair. Wider nudges find those that lie so near to the middle of
/// two; one of kRuns that does so counts a full step then. Other bounds are twice as wide by that.
constexpr double kF16Nudges = 4.0;
constexpr double kF16Deviations = 4.0;

bool has_f16_cache(const Graph& graph) {
  return std::ranges::any_of(
      graph.values, [](const Value& value) { return value.kind == ValueKind::State && value.dtype == DType::F16; });
}

/// Columns of each value that become bytes together, in the rows of products with quantised weights; 0: none do.
std::vector<std::size_t> blocks_of_bytes(const Graph& graph) {
  std::vector<std::size_t> blocks(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    const QuantisedType* type = node.op == "linear" ? quantised_type(graph.value(node.inputs[1]).dtype) : nullptr;
    std::size_t& block = blocks[static_cast<std::size_t>(node.inputs[0])];
    if (type != nullptr) block = std::max<std::size_t>(block, type->group);
  }
  return blocks;
}

double elements(const Shape& shape) { return static_cast<double>(element_count(shape)); }

}  // namespace

bool makes_bytes(const Plan& plan) {
  return std::ranges::any_of(plan.dispatches, [](const Dispatch& d) { return d.shader == "linear_dot"; });
}

Bounds bounds_of(const OpCase& op_case, const CaseData& data, bool bytes) {
  const Graph& graph = op_case.graph;
  const std::vector<std::size_t> blocks =
      bytes ? blocks_of_bytes(graph) : std::vector<std::size_t>(graph.values.size(), 0);
  const std::vector<TensorType> types = infer_all(graph, op_case.dims);
  const auto shape_of = [&](ValueId id) {
    return id == kNoValue ? Shape{} : types[static_cast<std::size_t>(id)].shape;
  };
  std::map<const Node*, Rounding> nodes;
  std::vector<double> operand(graph.values.size(), 0.0);  // units, the most that a reader of the value rounds by
  double products = 0.0;
  bool any = false;
  const bool words = moves_words(graph);
  const bool f16 = has_f16_cache(graph);
  const double wider = f16 ? kF16Nudges : 1.0;
  for (const Node& node : graph.nodes) {
    std::vector<Shape> inputs;
    std::vector<Shape> outputs;
    double size = 0.0;
    for (const ValueId id : node.inputs) inputs.push_back(shape_of(id));
    for (const ValueId id : node.outputs) outputs.push_back(shape_of(id));
    for (const Shape& shape : outputs) size += elements(shape);
    const Rounding rounding = rounding_of(node, inputs, outputs);
    nodes[&node] = rounding;
    const double steps = std::max(0.0, rounding.operand - 2.0);
    products += size * std::max(1.0, steps * steps);
    if (rounding.exact) continue;
    any = true;
    for (std::size_t i = 0; i < std::min(node.inputs.size(), rounding.operands); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      // Masks of -infinity, and what stands for it, drop a key whatever their last digit.
      if (node.op == "attention" && i == 3) continue;
      // Keys and values enter a cache of f16 as they are; what a sum does to them is less than rounding them does.
      if (node.op == "attention" && f16 && (i == 1 || i == 2)) continue;
      double& most = operand[static_cast<std::size_t>(node.inputs[i])];
      most = std::max(most, rounding.operand);
    }
  }

  const bool slow = products > kSlow;
  const int runs = any ? (slow ? kFewRuns : kRuns) : 0;
  Bounds squares;
  std::map<std::string, std::vector<bool>> over;
  const auto each = [&](const auto& visit) {
    for (const auto& [name, tensor] : data.outputs) visit(name, tensor);
    for (const auto& [name, tensor] : data.states_after) visit(name, tensor);
  };
  each([&](const std::string& name, const HostTensor& tensor) {
    squares[name].assign(tensor.data.size(), 0.0);
    over[name].assign(tensor.data.size(), false);
  });
  const auto accumulate = [&](const std::string& name, const HostTensor& expected, const std::vector<double>& nudged) {
    std::vector<double>& sum = squares[name];
    for (std::size_t i = 0; i < nudged.size(); ++i) {
      const double difference = nudged[i] - expected.data[i];
      if (std::isfinite(difference)) sum[i] += difference * difference;
      if ((std::abs(expected.data[i]) > kFloatMax) != (std::abs(nudged[i]) > kFloatMax)) over[name][i] = true;
    }
  };
  std::vector<double> largest(graph.values.size(), 0.0);
  const auto note_largest = [&](ValueId id, const std::vector<double>& values) {
    double& most = largest[static_cast<std::size_t>(id)];
    for (const double value : values) {
      if (std::isfinite(value)) most = std::max(most, std::abs(value));
    }
  };
  for (const auto& [name, tensor] : data.inputs) note_largest(graph.find(name), tensor.data);
  for (const auto& [name, tensor] : data.states_before) note_largest(graph.find(name), tensor.data);
  for (const auto& [name, values] : data.decoded_weights) note_largest(graph.find(name), values);
  for (int run = 0; run < runs; ++run) {
    Nudges nudges(0x5eed + static_cast<std::uint64_t>(run));
    std::map<std::string, HostTensor> tensors = data.inputs;
    tensors.insert(data.states_before.begin(), data.states_before.end());
    for (auto& [name, tensor] : tensors) {
      const double units = operand[static_cast<std::size_t>(graph.find(name))];
      if (units > 0.0 && is_floating(tensor.type.dtype)) nudge(tensor.data, {.result = wider * units}, nudges);
      const std::size_t block = blocks[static_cast<std::size_t>(graph.find(name))];
      if (block > 0) nudge_bytes(tensor.data, block, {}, nudges, wider);
    }
    const WeightLookup lookup = [&](const std::string& name, std::size_t) {
      std::vector<double> weight = data.decoded_weights.at(name);
      const ValueId id = graph.find(name);
      const double units = operand[static_cast<std::size_t>(id)];
      if (units > 0.0 && is_floating(graph.value(id).dtype)) nudge(weight, {.result = wider * units}, nudges);
      return weight;
    };
    const NodeObserver observer = [&](const ops::ReferenceContext& context) {
      const Node& node = context.node;
      const std::vector<HostTensor*>& outputs = context.outputs;
      const Rounding& rounding = nodes.at(&node);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i] == nullptr || !is_floating(outputs[i]->type.dtype)) continue;
        note_largest(node.outputs[i], outputs[i]->data);
        Rounding of_output = rounding;
        // A later node rounds as if its operand were off.
        of_output.result += operand[static_cast<std::size_t>(node.outputs[i])];
        of_output.result *= wider;
        of_output.absolute *= wider;
        if (of_output.result + of_output.absolute > 0.0) {
          const double scale = rounding.scale < node.inputs.size()
                                   ? largest[static_cast<std::size_t>(node.inputs[rounding.scale])]
                                   : 1.0;
          nudge(outputs[i]->data, of_output, nudges, scale);
        }
        const std::size_t block = blocks[static_cast<std::size_t>(node.outputs[i])];
        if (block > 0) nudge_bytes(outputs[i]->data, block, {}, nudges, wider);
      }
    };
    const std::map<std::string, HostTensor> outputs = evaluate(graph, op_case.dims, lookup, tensors, observer);
    for (const auto& [name, expected] : data.outputs) accumulate(name, expected, outputs.at(name).data);
    for (const auto& [name, expected] : data.states_after) accumulate(name, expected, tensors.at(name).data);
  }

  each([&](const std::string& name, const HostTensor& expected) {
    std::vector<double>& bound = squares[name];
    const auto before = data.states_before.find(name);
    for (double& square : bound) square = runs == 0 ? 0.0 : std::sqrt(square / runs);
    if (slow) {
      // By the largest and not the mean: among neighbours one may be much smaller than the others, but none is 16
      // times.
      for (std::size_t first = 0; first < bound.size(); first += kNeighbours) {
        const std::size_t end = std::min(bound.size(), first + kNeighbours);
        const double most = *std::max_element(bound.begin() + static_cast<std::ptrdiff_t>(first),
                                              bound.begin() + static_cast<std::ptrdiff_t>(end));
        std::fill(bound.begin() + static_cast<std::ptrdiff_t>(first), bound.begin() + static_cast<std::ptrdiff_t>(end),
                  most);
      }
    }
    for (std::size_t i = 0; i < bound.size(); ++i) {
      // What a run leaves of a state stays to the bit.
      if (before != data.states_before.end() && before->second.data[i] == expected.data[i]) bound[i] = 0.0;
      if (bound[i] > 0.0)
        bound[i] = (f16 ? kF16Deviations : kDeviations) * bound[i] + kUnitRoundoff * std::abs(expected.data[i]);
      if (!words) bound[i] += any ? kTinyQuotient : kFlushed;
      if (over[name][i]) bound[i] = std::numeric_limits<double>::infinity();
    }
  });
  return squares;
}

}  // namespace heed::op_cases
