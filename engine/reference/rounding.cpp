#include "reference/rounding.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string_view>

namespace heed {
namespace {

double elements(const Shape& shape) { return static_cast<double>(element_count(shape)); }
double last(const Shape& shape) { return shape.empty() ? 1.0 : static_cast<double>(shape.back()); }

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

constexpr std::size_t kAllOperands = 99;

Rounding sum_of(double terms, double more = 0.0, std::size_t operands = kAllOperands) {
  // A product and an addition for each term; the order is the kernel's own.
  const double steps = 2.0 + more + std::sqrt(std::max(1.0, terms));
  return {.exact = false, .result = steps, .operand = steps, .operands = operands};
}

/// gelu is x/2 (1 + erf) and its like: below zero the sum cancels, which leaves half a step of 1 times x/2; further
/// than x = -8 nothing is left.
constexpr double kGeluCancels = 4.0;

/// Of functions built from what a driver computes: exp may be off by 3 + 2|x| steps of float, which are two units each.
constexpr Rounding kFunction = {.exact = false, .result = 8.0, .operand = 4.0, .operands = kAllOperands};

}  // namespace

double Nudges::next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-52 - 1.0;
}

void nudge(std::vector<double>& data, const Rounding& rounding, Nudges& nudges, double scale) {
  for (double& value : data) {
    if (!std::isfinite(value)) continue;
    double units = rounding.result;
    if (rounding.logarithm && value > 0.0) units += 4.0 * std::abs(std::log(value));
    value += nudges.next() * kUnitRoundoff * (units * std::abs(value) + scale * rounding.absolute);
  }
}

namespace {

Rounding rounding_of_op(const Node& node, const std::vector<Shape>& inputs, const std::vector<Shape>& outputs) {
  const std::string& op = node.op;
  const auto input = [&](std::size_t i) { return i < inputs.size() ? inputs[i] : Shape{}; };
  const double out = outputs.empty() ? 1.0 : std::max(1.0, elements(outputs[0]));
  const auto with_activation = [&](Rounding rounding) {
    // Fusion keeps the function of a gate under another name.
    const std::string activation = node.attributes.text("gate", node.attributes.text("activation", "none"));
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
  if (one_of(op,
             {"silu", "tanh",  "sigmoid", "exp",   "log", "sin", "cos",  "tan",  "asin", "acos",     "atan",  "sinh",
              "cosh", "asinh", "acosh",   "atanh", "erf", "elu", "celu", "selu", "mish", "softplus", "swish", "pow"})) {
    return kFunction;
  }
  if (op == "linear") {
    // Fusion puts a norm before it (input 4) and a second product behind it (input 5).
    const double terms = last(input(0)) + (input(5).empty() ? 0.0 : last(input(5)));
    Rounding sum = sum_of(terms, input(4).empty() ? 0.0 : 6.0);
    // x, and weights of f32, may be rounded to f16, by half a step of 2^-11 each.
    if (node.attributes.integer("halves", 2) == 1) sum.operand += 0x1p13;
    return with_activation(sum);
  }
  if (op == "expert_linear") return with_activation(sum_of(last(input(0)), input(3).empty() ? 0.0 : 6.0));
  if (op == "expert_sum") return sum_of(input(0).size() < 2 ? 1.0 : static_cast<double>(input(0).end()[-2]));
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
    Rounding sum = sum_of(terms);
    // x and the weights may be rounded to f16, by half a step of 2^-11.
    if (node.attributes.integer("halves", 2) == 1) sum.operand += 0x1p12;
    Rounding rounding = with_activation(sum);
    if (node.attributes.has("join")) rounding.result += 1.0;  // another tensor, by fusion
    return rounding;
  }
  if (one_of(op, {"rms_norm", "layer_norm"})) return sum_of(last(input(0)), 6.0);
  if (one_of(op, {"group_norm", "instance_norm"})) return sum_of(elements(input(0)), 6.0);
  if (op == "batch_norm") return sum_of(2.0, 6.0);
  if (one_of(op, {"softmax", "log_softmax", "route"})) {
    const double steps = 8.0 + std::sqrt(op == "route" ? last(input(0)) : elements(input(0)));
    if (op != "log_softmax") return {.exact = false, .result = steps, .logarithm = true};
    return {.exact = false, .result = 4.0, .absolute = steps};
  }
  if (op == "attention") {
    // Scores over a head's width, then a sum over the keys; masks are only added. Other scores than products have
    // roots.
    double keys = 1.0;
    for (const std::size_t i : {1, 4}) {
      const Shape rows = input(i);
      if (rows.size() > 1) keys = std::max(keys, static_cast<double>(rows[rows.size() - 2]));
    }
    Rounding sum = sum_of(last(input(0)) + keys, node.attributes.text("score", "dot") == "dot" ? 8.0 : 32.0);
    // q, keys and values may be rounded to f16, by half a step of 2^-11, and so may the weights of values.
    if (node.attributes.integer("halves", 2) == 1) sum.operand += 0x1p13;
    return sum;
  }
  if (op == "spatial_attention") {
    return sum_of((input(0).size() > 1 ? static_cast<double>(input(0)[1]) : 1.0) + last(input(2)), 16.0);
  }
  if (op == "attention_block") return sum_of(2.0 * last(input(0)) + elements(input(0)), 16.0);
  // Sums of log probabilities of a row of logits.
  // Biases and penalties of up to 100, which may cancel; DRY multiplies up to 64 times.
  if (op == "adjust_logits") {
    return {.exact = false, .result = 80.0, .operand = 80.0, .operands = 1, .absolute = 400.0};
  }
  if (one_of(op, {"beam_search", "sample_rows", "token_logprobs"})) return sum_of(last(input(0)), 8.0);
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
  if (op == "wavenet") {
    // Sums of all layers, one behind the other; and what one sample is off by goes into the next.
    const double layers = static_cast<double>(node.attributes.integers("dilations").size());
    const double terms = static_cast<double>(node.attributes.integer("kernel") * node.attributes.integer("residual") +
                                             node.attributes.integer("gate"));
    return sum_of(layers * terms, 8.0 * layers);
  }
  if (one_of(op, {"lstm", "gru", "rnn"})) return sum_of(last(input(1)) + last(input(2)), 8.0);
  return {};
}

}  // namespace

Rounding rounding_of(const Node& node, const std::vector<Shape>& inputs, const std::vector<Shape>& outputs) {
  Rounding rounding = rounding_of_op(node, inputs, outputs);
  if (!node.attributes.has("then")) return rounding;
  // A sum or product behind a function, which may cancel what that was.
  rounding.exact = false;
  rounding.result += 1.0;
  rounding.operand = std::max(rounding.operand, rounding.result);
  rounding.operands = kAllOperands;
  return rounding;
}

void nudge_bytes(std::vector<double>& data, std::size_t block, const std::vector<double>& factors, Nudges& nudges,
                 double wider) {
  constexpr double kSteps = 32639.0;
  const auto factor = [&](std::size_t i) { return factors.empty() ? 1.0 : factors[i % factors.size()]; };
  for (std::size_t begin = 0; begin < data.size(); begin += block) {
    const std::size_t end = std::min(data.size(), begin + block);
    double most = 0.0;
    for (std::size_t i = begin; i < end; ++i) {
      const double read = std::abs(data[i] * factor(i));
      if (std::isfinite(read)) most = std::max(most, read);
    }
    for (std::size_t i = begin; i < end; ++i) {
      const double off = nudges.next() * 0.5 * wider * most / kSteps;
      if (std::isfinite(data[i]) && factor(i) != 0.0) data[i] += off / factor(i);
    }
  }
}

}  // namespace heed
