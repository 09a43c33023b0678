// ONNX's operators over whole axes: reductions, softmax, sorting.
#include <algorithm>

#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

constexpr std::pair<std::string_view, std::string_view> kReductions[] = {{"ReduceSum", "sum"},
                                                                         {"ReduceMean", "mean"},
                                                                         {"ReduceMax", "max"},
                                                                         {"ReduceMin", "min"},
                                                                         {"ReduceProd", "prod"},
                                                                         {"ReduceL1", "l1"},
                                                                         {"ReduceL2", "l2"},
                                                                         {"ReduceLogSum", "log_sum"},
                                                                         {"ReduceLogSumExp", "log_sum_exp"},
                                                                         {"ReduceSumSquare", "sum_square"}};

/// Axes are an attribute before opset 18, of ReduceSum before 13.
Operands import_reduce(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  std::string_view kind;
  for (const auto& [name, heed_kind] : kReductions) {
    if (node.op() == name) kind = heed_kind;
  }
  Operand axes = OnnxImporter::optional(inputs, 1);
  if (node.opset() < (node.op() == "ReduceSum" ? 13 : 18) && node.has("axes"))
    axes = import.integers(node.integers("axes"));
  return {import.add(node, "reduce", {import.required(node, inputs, 0), axes},
                     {{"kind", std::string(kind)},
                      {"keep_dims", node.integer("keepdims", 1)},
                      {"noop_with_empty_axes", node.integer("noop_with_empty_axes", 0)}})};
}

Operands import_arg(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  return {import.add(node, node.op() == "ArgMax" ? "arg_max" : "arg_min", {import.required(node, inputs, 0)},
                     {{"axis", node.integer("axis", 0)},
                      {"keep_dims", node.integer("keepdims", 1)},
                      {"select_last_index", node.integer("select_last_index", 0)}})};
}

/// Before opset 13 the axis and all after it are one.
Operands import_softmax(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::string_view op = node.op() == "Softmax"      ? "softmax"
                              : node.op() == "LogSoftmax" ? "log_softmax"
                                                          : "hardmax";
  if (node.opset() >= 13) return {import.add(node, op, {x}, {{"axis", node.integer("axis", -1)}})};
  const Operand rows = import.add(node, "flatten", {x}, {{"axis", node.integer("axis", 1)}});
  const Operand y = import.add(node, op, {rows}, {{"axis", std::int64_t{-1}}});
  return {import.add(node, "reshape", {y, import.shape(node, x)})};
}

Operands import_top_k(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand k = node.opset() < 10 ? import.integers({node.integer("k", 0)}) : import.required(node, inputs, 1);
  return import.add_many(node, "top_k", {import.required(node, inputs, 0), k},
                         {{"axis", node.integer("axis", -1)},
                          {"largest", node.integer("largest", 1)},
                          {"sorted", node.integer("sorted", 1)}},
                         2);
}

/// Over all dimensions behind the channels.
Operands import_global_pool(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand axes = import.axes_from(node, x, 2);
  const auto reduce = [&](const Operand& from, std::string kind) {
    return import.add(node, "reduce", {from, axes}, {{"kind", std::move(kind)}, {"keep_dims", std::int64_t{1}}});
  };
  if (node.op() != "GlobalLpPool") return {reduce(x, node.op() == "GlobalMaxPool" ? "max" : "mean")};
  const std::int64_t p = node.integer("p", 2);
  if (p == 1 || p == 2) return {reduce(x, p == 1 ? "l1" : "l2")};
  const Operand powers =
      import.add(node, "pow", {import.add(node, "abs", {x}), import.number(static_cast<double>(p), DType::F32)});
  return {import.add(node, "pow", {reduce(powers, "sum"), import.number(1.0 / static_cast<double>(p), DType::F32)})};
}

Operands import_lp_normalization(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::int64_t p = node.integer("p", 2);
  if (p != 1 && p != 2) node.fail("p is neither 1 nor 2");
  const Operand axes = import.integers({node.integer("axis", -1)});
  const Operand length =
      import.add(node, "reduce", {x, axes}, {{"kind", p == 1 ? "l1" : "l2"}, {"keep_dims", std::int64_t{1}}});
  // Nothing stays nothing.
  const Operand zero = import.number(0.0, x.dtype);
  const Operand some =
      import.add(node, "where", {import.add(node, "equal", {length, zero}), import.number(1.0, x.dtype), length});
  return {import.add(node, "div", {x, some})};
}

}  // namespace

std::vector<OperatorRow> reduce_operators() {
  std::vector<OperatorRow> rows = {{"ArgMax", import_arg},
                                   {"ArgMin", import_arg},
                                   {"Softmax", import_softmax},
                                   {"LogSoftmax", import_softmax},
                                   {"Hardmax", import_softmax},
                                   {"TopK", import_top_k},
                                   {"GlobalAveragePool", import_global_pool},
                                   {"GlobalMaxPool", import_global_pool},
                                   {"GlobalLpPool", import_global_pool},
                                   {"LpNormalization", import_lp_normalization}};
  for (const auto& [name, kind] : kReductions) rows.push_back({name, import_reduce});
  return rows;
}

}  // namespace heed::convert
