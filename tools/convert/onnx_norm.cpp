// ONNX's normalisations.
#include <fmt/format.h>

#include <numeric>

#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

/// A weight as one row, whatever its shape.
Operand flat(OnnxImporter& import, const OnnxNode& node, const Operand& x) {
  return x.absent() ? x : import.add(node, "reshape", {x, import.integers({-1})});
}

/// The axis and all after it are one row. Also gives mean and inverse standard deviation, where they are asked for.
Operands import_layer_norm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand& weight = import.required(node, inputs, 1);
  const bool rms = node.op() == "RMSNormalization";
  const std::int64_t axis = node.integer("axis", -1);
  const double eps = node.real("epsilon", 1e-5);
  node.integer("stash_type", 1);
  Operands all = {import.add(node, "flatten", {x}, {{"axis", axis}}), flat(import, node, weight)};
  if (!rms) all.push_back(flat(import, node, OnnxImporter::optional(inputs, 2)));
  const Operand rows = import.add(node, rms ? "rms_norm" : "layer_norm", all, {{"eps", eps}});
  Operands results = {import.add(node, "reshape", {rows, import.shape(node, x)})};
  if (node.proto().output_size() > 1) {
    const Operand axes = import.axes_from(node, x, axis);
    const auto mean = [&](const Operand& of) {
      return import.add(node, "reduce", {of, axes}, {{"kind", "mean"}, {"keep_dims", std::int64_t{1}}});
    };
    const Operand centre = mean(x);
    const Operand off = import.add(node, "sub", {x, centre});
    const Operand variance = mean(import.add(node, "mul", {off, off}));
    const Operand deviation =
        import.add(node, "sqrt", {import.add(node, "add", {variance, import.number(eps, x.dtype)})});
    results.push_back(centre);
    results.push_back(import.add(node, "reciprocal", {deviation}));
  }
  return results;
}

Operands import_batch_norm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 5; ++i) import.required(node, inputs, i);
  if (node.integer("training_mode", 0) != 0) node.fail("is in training mode; heed only runs models");
  if (node.opset() < 9 && node.integer("spatial", 1) != 1) node.fail("spatial is 0");
  node.real("momentum", 0.9);
  return {import.add(node, "batch_norm", inputs, {{"eps", node.real("epsilon", 1e-5)}})};
}

Operands import_instance_norm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
  return {import.add(node, "group_norm", inputs, {{"groups", std::int64_t{0}}, {"eps", node.real("epsilon", 1e-5)}})};
}

/// Before opset 21 there is a weight for each group, later for each channel.
Operands import_group_norm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
  const std::int64_t groups = node.integer("num_groups", 0);
  const double eps = node.real("epsilon", 1e-5);
  node.integer("stash_type", 1);
  if (groups < 1) node.fail(fmt::format("num_groups is {}", groups));
  if (node.opset() >= 21) return {import.add(node, "group_norm", inputs, {{"groups", groups}, {"eps", eps}})};
  const Operand grouped = import.add(node, "reshape", {inputs[0], import.integers({0, groups, -1})});
  const Operand y = import.add(node, "group_norm", {grouped, inputs[1], inputs[2]}, {{"groups", groups}, {"eps", eps}});
  return {import.add(node, "reshape", {y, import.shape(node, inputs[0])})};
}

Operands import_mean_variance(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand axes = import.integers(node.has("axes") ? node.integers("axes") : std::vector<std::int64_t>{0, 2, 3});
  const auto mean = [&](const Operand& of) {
    return import.add(node, "reduce", {of, axes}, {{"kind", "mean"}, {"keep_dims", std::int64_t{1}}});
  };
  const Operand off = import.add(node, "sub", {x, mean(x)});
  const Operand deviation = import.add(node, "sqrt", {mean(import.add(node, "mul", {off, off}))});
  return {import.add(node, "div", {off, import.add(node, "add", {deviation, import.number(1e-9, x.dtype)})})};
}

/// Local response normalisation (Krizhevsky et al. 2012): by the mean square of neighbouring channels.
Operands import_lrn(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::int64_t size = node.integer("size", 0);
  if (size < 1) node.fail(fmt::format("size is {}", size));
  const double alpha = node.real("alpha", 1e-4);
  const double beta = node.real("beta", 0.75);
  const double bias = node.real("bias", 1.0);
  // Channels as the rows of a picture: [B, 1, C, pixels].
  const Operand flat_shape =
      import.add(node, "concat",
                 {import.size_of(node, x, 0), import.integers({1}), import.size_of(node, x, 1), import.integers({-1})},
                 {{"axis", std::int64_t{0}}});
  const Operand squares = import.add(node, "reshape", {import.add(node, "mul", {x, x}), flat_shape});
  const std::int64_t before = (size - 1) / 2;
  const Operand means = import.add(node, "average_pool", {squares},
                                   {{"kernel", std::vector<std::int64_t>{size, 1}},
                                    {"strides", std::vector<std::int64_t>{1, 1}},
                                    {"pads", std::vector<std::int64_t>{before, 0, size - 1 - before, 0}},
                                    {"auto_pad", "notset"},
                                    {"count_include_pad", std::int64_t{1}}});
  const Operand sums = import.add(node, "reshape", {means, import.shape(node, x)});
  const Operand scaled = import.add(node, "mul", {sums, import.number(alpha, x.dtype)});
  const Operand base = import.add(node, "add", {scaled, import.number(bias, x.dtype)});
  return {import.add(node, "div", {x, import.add(node, "pow", {base, import.number(beta, x.dtype)})})};
}

}  // namespace

std::vector<OperatorRow> norm_operators() {
  return {{"LayerNormalization", import_layer_norm},
          {"RMSNormalization", import_layer_norm},
          {"BatchNormalization", import_batch_norm},
          {"InstanceNormalization", import_instance_norm},
          {"GroupNormalization", import_group_norm},
          {"MeanVarianceNormalization", import_mean_variance},
          {"LRN", import_lrn}};
}

}  // namespace heed::convert
