// The operators that ONNX Runtime's quantiser writes for quantised tensors besides ONNX's own (domain com.microsoft).
// Each is the function of the real numbers that its operands stand for, quantised again.
#include <fmt/format.h>

#include "tools/convert/onnx_quantise.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

/// The operand at `i`, with its scale and zero point behind it, as real numbers.
Operand real_operand(OnnxImporter& import, const OnnxNode& node, const Operands& inputs, std::size_t i) {
  const Operand& x = import.required(node, inputs, i);
  const Operand& scale = import.required(node, inputs, i + 1);
  const Operand zero = OnnxImporter::optional(inputs, i + 2);
  quantised_type(node, x);
  return dequantised(import, node, x, along_axis(import, node, x, scale, -1, 0),
                     zero.absent() ? zero : along_axis(import, node, x, zero, -1, 0));
}

/// y in steps of the scale at `i`, with the zero point behind it.
Operand result(OnnxImporter& import, const OnnxNode& node, const Operand& y, const Operands& inputs, std::size_t i,
               const Operand& x) {
  const Operand& scale = import.required(node, inputs, i);
  const Operand zero = OnnxImporter::optional(inputs, i + 1);
  return rounded_to(import, node, import.add(node, "div", {y, scale}), zero,
                    quantised_type(node, zero.absent() ? x : zero));
}

Operands import_quantised_binary(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand y = import.add(node, node.op() == "QLinearAdd" ? "add" : "mul",
                               {real_operand(import, node, inputs, 0), real_operand(import, node, inputs, 3)});
  return {result(import, node, y, inputs, 6, inputs[0])};
}

Operands import_quantised_unary(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand x = real_operand(import, node, inputs, 0);
  const Operand y = node.op() == "QLinearSigmoid"
                        ? import.add(node, "sigmoid", {x})
                        : import.add(node, "leaky_relu", {x}, {{"alpha", node.real("alpha", 0.01)}});
  return {result(import, node, y, inputs, 3, inputs[0])};
}

Operands import_quantised_softmax(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const std::int64_t opset = node.integer("opset", 13);
  if (opset < 13) node.fail(fmt::format("is the Softmax of opset {}, expected 13 or later", opset));
  const Operand y =
      import.add(node, "softmax", {real_operand(import, node, inputs, 0)}, {{"axis", node.integer("axis", -1)}});
  return {result(import, node, y, inputs, 3, inputs[0])};
}

Operands import_quantised_average(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  if (node.integer("channels_last", 0) != 0) node.fail("has its channels last; heed has them before the pixels");
  const Operand x = real_operand(import, node, inputs, 0);
  Operand y;
  if (node.op() == "QLinearAveragePool") {
    Attributes attributes = pool_attributes(node);
    attributes.set("count_include_pad", node.integer("count_include_pad", 0));
    y = import.add(node, "average_pool", {x}, attributes);
  } else {
    y = import.add(node, "reduce", {x, import.axes_from(node, x, 2)},
                   {{"kind", "mean"}, {"keep_dims", std::int64_t{1}}});
  }
  return {result(import, node, y, inputs, 3, inputs[0])};
}

/// Scale and zero point of the result come first.
Operands import_quantised_concat(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  if (inputs.size() < 5 || inputs.size() % 3 != 2) {
    node.fail(fmt::format("has {} inputs, expected two, and three for each tensor", inputs.size()));
  }
  Operands parts;
  for (std::size_t i = 2; i < inputs.size(); i += 3) parts.push_back(real_operand(import, node, inputs, i));
  const Operand y = import.add(node, "concat", parts, {{"axis", node.integer("axis", 0)}});
  return {result(import, node, y, inputs, 0, inputs[2])};
}

}  // namespace

std::vector<OperatorRow> quantised_operators() {
  return {{"com.microsoft.QLinearAdd", import_quantised_binary},
          {"com.microsoft.QLinearMul", import_quantised_binary},
          {"com.microsoft.QLinearSigmoid", import_quantised_unary},
          {"com.microsoft.QLinearLeakyRelu", import_quantised_unary},
          {"com.microsoft.QLinearSoftmax", import_quantised_softmax},
          {"com.microsoft.QLinearAveragePool", import_quantised_average},
          {"com.microsoft.QLinearGlobalAveragePool", import_quantised_average},
          {"com.microsoft.QLinearConcat", import_quantised_concat}};
}

}  // namespace heed::convert
