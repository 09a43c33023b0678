#include "tests/op_cases/bounds.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "plan/infer.h"
#include "reference/evaluate.h"

namespace heed::op_cases {
namespace {

constexpr double kUnit = 0x1p-24;           // the unit roundoff of float
constexpr double kTiny = 0x1p-126;          // results and operands below may be flushed to zero
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

/// A number in [-1, 1) of stream `key`: SplitMix64's finaliser.
class Nudges {
 public:
  explicit Nudges(std::uint64_t key) : state_(key) {}
  double next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) * 0x1p-52 - 1.0;
  }

 private:
  std::uint64_t state_;
};

double elements(const Shape& shape) { return static_cast<double>(element_count(shape)); }
double last(const Shape& shape) { return shape.empty() ? 1.0 : static_cast<double>(shape.back()); }

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

Rounding sum_of(double terms, double more = 0.0, std::size_t operands = 99) {
  // A product and an addition for each term; the order is the kernel's own.
  const double steps = 2.0 + more + std::sqrt(std::max(1.0, terms));
  return {.exact = false, .result = steps, .operand = steps, .operands = operands};
}

/// gelu is x/2 (1 + erf) and its like: below zero the sum cancels, which leaves half a step of 1 times x/2; further
/// than x = -8 nothing is left.
constexpr double kGeluCancels = 4.0;

/// Of functions built from what a driver computes: exp may be off by 3 + 2|x| steps of float, which are two units each.
constexpr Rounding kFunction = {.exact = false, .result = 8.0, .operand = 4.0, .operands = 99};

}  // namespace

Rounding rounding_of(const Node& node, const std::vector<Shape>& inputs, const std::vector<Shape>& outputs) {
  const std::string& op = node.op;
  const auto input = [&](std::size_t i) { return i < inputs.size() ? inputs[i] : Shape{}; };
  const double out = outputs.empty() ? 1.0 : std::max(1.0, elements(outputs[0]));
  const auto with_activation = [&](Rounding rounding) {
    const std::string activation = node.attributes.text("activation", "none");
    if (activation == "none" || activation == "relu") return rounding;
    rounding.result += kFunction.result;
    if (activation != "silu" && activation != "sigmoid" && activation != "tanh") rounding.absolute = kGeluCancels;
    return rounding;
  };
  if (one_of(op, {"add", "sub", "mul", "prelu", "leaky_relu"})) return {.exact = false, .result = 1.0};
  if (one_of(op, {"hard_sigmoid", "hard_swish", "shrink", "thresholded_relu", "softsign", "mod", "fmod"})) {
    return {.exact = false, .result = 4.0, .absolute = op == "hard_sigmoid" || op == "hard_swish" ? 1.0 : 0.0};
  }
  if (one_of(op, {"div", "reciprocal", "sqrt"})) return {.exact = false, .result = 6.0};
  if (op == "gate") {
    Rounding rounding = with_activation({.exact = false, .result = 2.0, .operand = 4.0, .operands = 1});
    rounding.scale = 1;
    return rounding;
  }
  if (op == "embedding" && node.attributes.has("scale")) return {.exact = false, .result = 1.0};
  if (op == "gelu" || op == "gelu_tanh") {
    Rounding rounding = kFunction;
    rounding.absolute = kGeluCancels;
    return rounding;
  }
  if (one_of(op, {"silu", "gelu", "gelu_tanh", "tanh", "sigmoid", "exp",      "log",   "sin",   "cos",
                  "tan",  "asin", "acos",      "atan", "sinh",    "cosh",     "asinh", "acosh", "atanh",
                  "erf",  "elu",  "celu",      "selu", "mish",    "softplus", "swish", "pow"})) {
    return kFunction;
  }
  if (op == "linear") return with_activation(sum_of(last(input(0))));
  if (op == "matmul") return sum_of(last(input(0)));
  if (op == "einsum") {
    double most = 1.0;
    for (const Shape& shape : inputs) most = std::max(most, elements(shape));
    return sum_of(most);
  }
  if (one_of(op, {"conv", "conv_transpose"})) {
    double terms = 1.0;
    for (std::size_t i = 1; i < input(1).size(); ++i) terms *= static_cast<double>(input(1)[i]);
    if (op == "conv_transpose" && !input(1).empty() && input(1).size() > 1) {
      terms = elements(input(1)) / static_cast<double>(std::max<std::int64_t>(1, input(1)[1]));
    }
    return with_activation(sum_of(terms));
  }
  if (one_of(op, {"rms_norm", "layer_norm"})) return sum_of(last(input(0)), 6.0);
  if (one_of(op, {"group_norm", "instance_norm"})) return sum_of(elements(input(0)), 6.0);
  if (op == "batch_norm") return sum_of(2.0, 6.0);
  if (one_of(op, {"softmax", "log_softmax"})) {
    const double steps = 8.0 + std::sqrt(elements(input(0)));
    if (op == "softmax") return {.exact = false, .result = steps, .logarithm = true};
    return {.exact = false, .result = 4.0, .absolute = steps};
  }
  if (op == "attention") {
    // Scores over a head's width, then a sum over the keys; masks are only added.
    double keys = 1.0;
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (!input(i).empty()) keys = std::max(keys, static_cast<double>(input(i)[0]));
    }
    return sum_of(last(input(0)) + keys, 8.0);
  }
  if (op == "attention_block") return sum_of(2.0 * last(input(0)) + elements(input(0)), 16.0);
  if (op == "rotary") return sum_of(2.0, 2.0);
  if (op == "reduce") {
    const std::string kind = node.attributes.text("kind");
    if (one_of(kind, {"max", "min"})) return {};
    return sum_of(elements(input(0)) / out, kind == "sum" || kind == "mean" ? 2.0 : 8.0);
  }
  if (op == "cumsum") return sum_of(elements(input(0)));
  if (one_of(op, {"average_pool", "lp_pool"}))
    return sum_of(elements(input(0)) / out * 16.0, op == "lp_pool" ? 8.0 : 2.0);
  if (op == "col2im") return sum_of(elements(input(0)) / out);
  if (op == "scatter_elements" || op == "scatter_nd") {
    const std::string reduction = node.attributes.text("reduction", "none");
    if (reduction == "add" || reduction == "mul") return sum_of(elements(input(2)));
    return {};
  }
  if (op == "resize" && node.attributes.text("mode", "nearest") != "nearest") return sum_of(16.0, 2.0, 1);
  if (op == "grid_sample") return sum_of(16.0, 24.0);  // places are off by steps of the size, not of the grid's number
  if (one_of(op, {"lstm", "gru", "rnn"})) return sum_of(last(input(1)) + last(input(2)), 8.0);
  return {};
}

namespace {

/// Nudges every floating element of a tensor by its share of `units`.
void nudge(std::vector<double>& data, const Rounding& rounding, Nudges& nudges, double scale = 1.0) {
  for (double& value : data) {
    if (!std::isfinite(value)) continue;
    double units = rounding.result;
    if (rounding.logarithm && value > 0.0) units += 4.0 * std::abs(std::log(value));
    value += nudges.next() * kUnit * (units * std::abs(value) + scale * rounding.absolute);
  }
}

}  // namespace

Bounds bounds_of(const OpCase& op_case, const CaseData& data) {
  const Graph& graph = op_case.graph;
  const std::vector<TensorType> types = infer_all(graph, op_case.dims);
  const auto shape_of = [&](ValueId id) {
    return id == kNoValue ? Shape{} : types[static_cast<std::size_t>(id)].shape;
  };
  std::map<const Node*, Rounding> nodes;
  std::vector<double> operand(graph.values.size(), 0.0);  // units, the most that a reader of the value rounds by
  double products = 0.0;
  bool any = false;
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
      if (units > 0.0 && is_floating(tensor.type.dtype)) nudge(tensor.data, {.result = units}, nudges);
    }
    const WeightLookup lookup = [&](const std::string& name, std::size_t) {
      std::vector<double> weight = data.decoded_weights.at(name);
      const ValueId id = graph.find(name);
      const double units = operand[static_cast<std::size_t>(id)];
      if (units > 0.0 && is_floating(graph.value(id).dtype)) nudge(weight, {.result = units}, nudges);
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
        if (of_output.result + of_output.absolute > 0.0) {
          const double scale = rounding.scale < node.inputs.size()
                                   ? largest[static_cast<std::size_t>(node.inputs[rounding.scale])]
                                   : 1.0;
          nudge(outputs[i]->data, of_output, nudges, scale);
        }
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
      if (bound[i] > 0.0) bound[i] = kDeviations * bound[i] + kUnit * std::abs(expected.data[i]);
      bound[i] += any ? kTinyQuotient : kTiny;
      if (over[name][i]) bound[i] = std::numeric_limits<double>::infinity();
    }
  });
  return squares;
}

}  // namespace heed::op_cases
