// ONNX's products of matrices, and recurrent layers.
#include <fmt/format.h>

#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

bool is_matrix(const Operand& operand) {
  return operand.constant != nullptr && operand.constant->type.shape.size() == 2 && !operand.constant->data.empty();
}

/// A constant matrix on the right is a weight, whose rows are stored one after the other.
Operands import_matmul(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& a = import.required(node, inputs, 0);
  const Operand& b = import.required(node, inputs, 1);
  if (is_matrix(b) && a.constant == nullptr && is_floating(a.dtype)) {
    return {import.add(node, "linear", {a, import.transposed(node, b)})};
  }
  return {import.add(node, "matmul", {a, b})};
}

Operands import_gemm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const double alpha = node.real("alpha", 1.0);
  const double beta = node.real("beta", 1.0);
  const bool transpose_a = node.integer("transA", 0) != 0;
  const bool transpose_b = node.integer("transB", 0) != 0;
  const Operand& a = import.required(node, inputs, 0);
  Operand b = import.required(node, inputs, 1);
  Operand c = OnnxImporter::optional(inputs, 2);
  if (!c.absent() && beta != 1.0) c = import.add(node, "mul", {c, import.number(beta, c.dtype)});
  Operand y;
  if (is_matrix(b) && a.constant == nullptr && is_floating(a.dtype)) {
    if (!transpose_b) b = import.transposed(node, b);
    if (alpha != 1.0) b = import.add(node, "mul", {b, import.number(alpha, b.dtype)});
    Operands operands = {transpose_a ? import.transposed(node, a) : a, b};
    const std::int64_t columns = b.constant->type.shape[0];
    const bool bias = c.constant != nullptr && c.constant->data.size() == static_cast<std::size_t>(columns) &&
                      c.constant->type.shape.back() == columns;
    if (bias) {
      operands.push_back(import.add(node, "reshape", {c, import.integers({columns})}));
      c = Operand{};
    }
    y = import.add(node, "linear", operands);
  } else {
    y = import.add(node, "matmul", {a, b},
                   {{"transpose_a", std::int64_t{transpose_a}}, {"transpose_b", std::int64_t{transpose_b}}});
    if (alpha != 1.0) y = import.add(node, "mul", {y, import.number(alpha, y.dtype)});
  }
  return {c.absent() ? y : import.add(node, "add", {y, c})};
}

Operands import_einsum(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  if (inputs.size() > 2) node.fail(fmt::format("has {} operands; heed computes with one or two", inputs.size()));
  return {import.add(node, "einsum", inputs, {{"equation", node.text("equation", "")}})};
}

Operands import_recurrent(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const bool lstm = node.op() == "LSTM";
  const bool gru = node.op() == "GRU";
  Attributes attributes{{"hidden_size", node.integer("hidden_size", 0)},
                        {"direction", node.text("direction", "forward")},
                        {"layout", node.integer("layout", 0)}};
  std::string activations;
  for (const std::string& name : node.texts("activations")) activations += (activations.empty() ? "" : ",") + name;
  if (!activations.empty()) attributes.set("activations", activations);
  if (node.has("activation_alpha") || node.has("activation_beta")) node.fail("has parameters of activations");
  if (node.has("clip")) attributes.set("clip", node.real("clip", 0.0));
  if (gru) attributes.set("linear_before_reset", node.integer("linear_before_reset", 0));
  if (lstm) attributes.set("input_forget", node.integer("input_forget", 0));
  for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
  Operands results = import.add_many(node, lstm ? "lstm" : gru ? "gru" : "rnn", inputs, attributes, lstm ? 3 : 2);
  return results;
}

}  // namespace

std::vector<OperatorRow> matrix_operators() {
  return {{"MatMul", import_matmul},  {"Gemm", import_gemm},     {"Einsum", import_einsum},
          {"LSTM", import_recurrent}, {"GRU", import_recurrent}, {"RNN", import_recurrent}};
}

}  // namespace heed::convert
