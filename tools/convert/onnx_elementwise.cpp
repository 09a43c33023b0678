// ONNX's functions of single elements.
#include "tools/convert/onnx_import.h"
#include "tools/convert/onnx_tensor.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

// clang-format off
constexpr std::pair<std::string_view, std::string_view> kSame[] = {
    {"Abs", "abs"},           {"Acos", "acos"},           {"Acosh", "acosh"},       {"Add", "add"},
    {"And", "and"},           {"Asin", "asin"},           {"Asinh", "asinh"},       {"Atan", "atan"},
    {"Atanh", "atanh"},       {"BitwiseAnd", "bitwise_and"}, {"BitwiseNot", "bitwise_not"},
    {"BitwiseOr", "bitwise_or"}, {"BitwiseXor", "bitwise_xor"}, {"Ceil", "ceil"},   {"Cos", "cos"},
    {"Cosh", "cosh"},         {"Div", "div"},             {"Equal", "equal"},       {"Erf", "erf"},
    {"Exp", "exp"},           {"Floor", "floor"},         {"Greater", "greater"},   {"GreaterOrEqual", "greater_equal"},
    {"HardSwish", "hard_swish"}, {"IsNaN", "isnan"},      {"Less", "less"},         {"LessOrEqual", "less_equal"},
    {"Log", "log"},           {"Mish", "mish"},           {"Mul", "mul"},           {"Neg", "neg"},
    {"Not", "not"},           {"Or", "or"},               {"PRelu", "prelu"},       {"Reciprocal", "reciprocal"},
    {"Relu", "relu"},         {"Round", "round"},         {"Sigmoid", "sigmoid"},   {"Sign", "sign"},
    {"Sin", "sin"},           {"Sinh", "sinh"},           {"Softplus", "softplus"}, {"Softsign", "softsign"},
    {"Sqrt", "sqrt"},         {"Sub", "sub"},             {"Tan", "tan"},           {"Tanh", "tanh"},
    {"Where", "where"},       {"Xor", "xor"},
};
// clang-format on

Operands import_same(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (const auto& [name, op] : kSame) {
    if (node.op() != name) continue;
    const bool unary_or_binary = !inputs.empty() && inputs.size() <= 3;
    if (!unary_or_binary) node.fail("has another number of inputs than its operator");
    for (std::size_t i = 0; i < inputs.size(); ++i) import.required(node, inputs, i);
    return {import.add(node, op, inputs)};
  }
  return {};
}

/// Functions with parameters: attribute of ONNX, its default there, and heed's name for it.
struct Parameter {
  std::string_view onnx;
  std::string_view heed;
  double otherwise;
};
struct Parametrised {
  std::string_view name;
  std::string_view op;
  std::vector<Parameter> parameters;
};

const std::vector<Parametrised>& parametrised() {
  static const std::vector<Parametrised> kRows = {
      {"Elu", "elu", {{"alpha", "alpha", 1.0}}},
      {"Celu", "celu", {{"alpha", "alpha", 1.0}}},
      {"Selu", "selu", {{"alpha", "alpha", 1.67326319217681884765625}, {"gamma", "gamma", 1.05070102214813232421875}}},
      {"LeakyRelu", "leaky_relu", {{"alpha", "alpha", 0.01}}},
      {"HardSigmoid", "hard_sigmoid", {{"alpha", "alpha", 0.2}, {"beta", "beta", 0.5}}},
      {"ThresholdedRelu", "thresholded_relu", {{"alpha", "alpha", 1.0}}},
      {"Shrink", "shrink", {{"lambd", "lambda", 0.5}, {"bias", "bias", 0.0}}},
      {"Swish", "swish", {{"alpha", "alpha", 1.0}}},
  };
  return kRows;
}

Operands import_parametrised(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (const Parametrised& row : parametrised()) {
    if (node.op() != row.name) continue;
    Attributes attributes;
    for (const Parameter& parameter : row.parameters) {
      attributes.set(std::string(parameter.heed), node.real(parameter.onnx, parameter.otherwise));
    }
    return {import.add(node, row.op, {import.required(node, inputs, 0)}, attributes)};
  }
  return {};
}

Operands import_isinf(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Attributes attributes{{"negative", static_cast<double>(node.integer("detect_negative", 1))},
                              {"positive", static_cast<double>(node.integer("detect_positive", 1))}};
  return {import.add(node, "isinf", {import.required(node, inputs, 0)}, attributes)};
}

Operands import_gelu(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const std::string approximate = node.text("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    node.fail("approximate is '" + approximate + "', expected none or tanh");
  return {import.add(node, approximate == "tanh" ? "gelu_tanh" : "gelu", {import.required(node, inputs, 0)})};
}

Operands import_clip(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Operand x = import.required(node, inputs, 0);
  Operand low = OnnxImporter::optional(inputs, 1);
  Operand high = OnnxImporter::optional(inputs, 2);
  if (node.opset() < 11) {
    if (node.has("min")) low = import.number(node.real("min", 0.0), x.dtype);
    if (node.has("max")) high = import.number(node.real("max", 0.0), x.dtype);
  }
  const auto known = [&](const Operand& bound) {
    return bound.absent() || (bound.constant != nullptr && bound.constant->data.size() == 1);
  };
  if (is_floating(x.dtype) && known(low) && known(high)) {
    Attributes attributes;
    if (!low.absent()) attributes.set("min", low.constant->data[0]);
    if (!high.absent()) attributes.set("max", high.constant->data[0]);
    return {import.add(node, "clamp", {x}, attributes)};
  }
  if (!low.absent()) x = import.add(node, "max", {x, low});
  if (!high.absent()) x = import.add(node, "min", {x, high});
  return {low.absent() && high.absent() ? import.add(node, "identity", {x}) : x};
}

/// Functions of any number of operands.
Operands import_variadic(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const bool mean = node.op() == "Mean";
  const std::string_view op = node.op() == "Max" ? "max" : node.op() == "Min" ? "min" : "add";
  Operand y = import.required(node, inputs, 0);
  for (std::size_t i = 1; i < inputs.size(); ++i) y = import.add(node, op, {y, import.required(node, inputs, i)});
  if (mean) y = import.add(node, "div", {y, import.number(static_cast<double>(inputs.size()), y.dtype)});
  if (inputs.size() == 1 && !mean) y = import.add(node, "identity", {y});
  return {y};
}

Operands import_mod(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const bool fmod = node.integer("fmod", 0) != 0;
  const Operand& a = import.required(node, inputs, 0);
  if (!fmod && is_floating(a.dtype)) node.fail("floats need fmod = 1");
  return {import.add(node, fmod ? "fmod" : "mod", {a, import.required(node, inputs, 1)})};
}

/// The result has the base's type.
Operands import_pow(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& base = import.required(node, inputs, 0);
  const Operand& exponent = import.required(node, inputs, 1);
  if (is_floating(base.dtype)) {
    return {import.add(node, "pow",
                       {base, is_floating(exponent.dtype) ? exponent : import.cast(node, exponent, DType::F32)})};
  }
  if (!is_floating(exponent.dtype)) return {import.add(node, "pow", {base, import.cast(node, exponent, base.dtype)})};
  return {import.cast(node, import.add(node, "pow", {import.cast(node, base, DType::F32), exponent}), base.dtype)};
}

Operands import_shift(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const std::string direction = node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    node.fail("direction is '" + direction + "', expected LEFT or RIGHT");
  return {import.add(node, direction == "LEFT" ? "shift_left" : "shift_right",
                     {import.required(node, inputs, 0), import.required(node, inputs, 1)})};
}

Operands import_cast(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  node.integer("saturate", 1);    // for types of 8 bits that heed does not have
  node.text("round_mode", "up");  // likewise
  Operand like;
  if (node.op() == "CastLike") {
    like = import.required(node, inputs, 1);
  } else {
    const auto to = static_cast<int>(node.integer("to", 0));
    like.dtype = onnx_held_type(to, "attribute 'to' of " + node.label());
    like.bits = onnx_narrow_bits(to);
  }
  if (like.bits == 0) {
    Operand y = x.dtype == like.dtype ? import.add(node, "identity", {x}) : import.cast(node, x, like.dtype);
    y.bits = 0;
    return {y};
  }
  // Integers of 4 and 2 bits keep their low bits, as wider ones do.
  const auto number = [&](int value) { return import.number(value, DType::I32); };
  const int values = 1 << like.bits;
  const Operand below = number(like.dtype == DType::I8 ? values / 2 : 0);
  const Operand shifted = import.add(node, "add", {import.cast(node, x, DType::I32), below});
  const Operand kept = import.add(node, "sub", {import.add(node, "mod", {shifted, number(values)}), below});
  Operand y = import.cast(node, kept, like.dtype);
  y.bits = like.bits;
  return {y};
}

}  // namespace

std::vector<OperatorRow> elementwise_operators() {
  std::vector<OperatorRow> rows = {{"IsInf", import_isinf},    {"Gelu", import_gelu},    {"Clip", import_clip},
                                   {"Max", import_variadic},   {"Min", import_variadic}, {"Sum", import_variadic},
                                   {"Mean", import_variadic},  {"Mod", import_mod},      {"Pow", import_pow},
                                   {"BitShift", import_shift}, {"Cast", import_cast},    {"CastLike", import_cast}};
  for (const auto& [name, op] : kSame) rows.push_back({name, import_same});
  for (const Parametrised& row : parametrised()) rows.push_back({row.name, import_parametrised});
  return rows;
}

}  // namespace heed::convert
