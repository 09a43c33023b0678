// ONNX's quantisation of tensors, and windows of signal processing.
#include <cmath>
#include <numbers>

#include "tools/convert/onnx_import.h"
#include "tools/convert/onnx_tensor.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

std::pair<double, double> range_of(const OnnxNode& node, DType type) {
  switch (type) {
    case DType::U8:
      return {0.0, 255.0};
    case DType::I8:
      return {-128.0, 127.0};
    case DType::U16:
      return {0.0, 65535.0};
    case DType::I16:
      return {-32768.0, 32767.0};
    default:
      node.fail("quantises to " + std::string(dtype_name(type)) + ", expected u8, i8, u16 or i16");
  }
}

/// Scales and zero points along one axis of x, shaped to broadcast; one of all elements stays as it is. With blocks
/// each stands for `block` elements along the axis.
Operand along_axis(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& scale,
                   std::int64_t axis, std::int64_t block) {
  if (block > 0) {
    // [.., n, ..] -> [.., n, 1, ..] -> [.., n, block, ..] -> the shape of x; the last block may be cut.
    const Operand at = import.integers({axis < 0 ? axis : axis + 1});
    if (axis < 0) node.fail("has blocks along an axis that is counted from the end");
    const Operand wide = import.add(node, "unsqueeze", {scale, at});
    const Operand shape = import.shape(node, scale);
    const auto part = [&](std::int64_t from, std::int64_t to) {
      return import.add(node, "slice", {shape, import.integers({from}), import.integers({to})});
    };
    const std::int64_t end = std::int64_t{1} << 53;
    const auto concat = [&](const Operands& parts) {
      return import.add(node, "concat", parts, {{"axis", std::int64_t{0}}});
    };
    const Operand repeated =
        import.add(node, "expand", {wide, concat({part(0, axis + 1), import.integers({block}), part(axis + 1, end)})});
    const Operand merged =
        import.add(node, "reshape", {repeated, concat({part(0, axis), import.integers({-1}), part(axis + 1, end)})});
    return import.add(node, "slice",
                      {merged, import.integers({0}), import.size_of(node, x, axis), import.integers({axis})});
  }
  // One dimension: as many of size 1 behind it as x has behind the axis. No dimension, or one element: it broadcasts.
  if (scale.constant != nullptr && scale.constant->data.size() == 1) {
    return import.add(node, "reshape", {scale, import.integers({})});
  }
  const Operand behind =
      axis < 0 ? import.integer(-axis) : import.add(node, "sub", {import.rank(node, x), import.integer(axis)});
  // A scalar has rank 0 and gets nothing added: rank * (behind - 1) dimensions.
  const Operand extra =
      import.add(node, "mul", {import.rank(node, scale), import.add(node, "sub", {behind, import.integer(1)})});
  const Operand axes = import.add(
      node, "range",
      {import.rank(node, scale), import.add(node, "add", {import.rank(node, scale), extra}), import.integer(1)});
  return import.add(node, "unsqueeze", {scale, axes});
}

Operands import_quantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand zero = OnnxImporter::optional(inputs, 2);
  DType to = zero.absent() ? DType::U8 : zero.dtype;
  if (node.has("output_dtype") && node.integer("output_dtype", 0) != 0) {
    to = onnx_type(static_cast<int>(node.integer("output_dtype", 0)), "output_dtype of " + node.label());
  }
  node.integer("saturate", 1);
  node.integer("precision", 0);
  const auto [least, most] = range_of(node, to);
  const std::int64_t axis = node.integer("axis", 1);
  const std::int64_t block = node.integer("block_size", 0);
  const Operand scale = along_axis(import, node, x, import.required(node, inputs, 1), axis, block);
  const Operand real = is_floating(x.dtype) ? x : import.cast(node, x, DType::F32);
  Operand y = import.add(node, "round", {import.add(node, "div", {real, scale})});
  if (!zero.absent()) {
    y = import.add(node, "add", {y, import.cast(node, along_axis(import, node, x, zero, axis, block), DType::F32)});
  }
  y = import.add(node, "clamp", {y}, {{"min", least}, {"max", most}});
  return {import.cast(node, y, to)};
}

Operands import_dequantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::int64_t axis = node.integer("axis", 1);
  const std::int64_t block = node.integer("block_size", 0);
  node.integer("output_dtype", 0);
  const Operand zero = OnnxImporter::optional(inputs, 2);
  const Operand& scale = import.required(node, inputs, 1);
  Operand y = import.cast(node, x, DType::F32);
  if (!zero.absent()) {
    y = import.add(node, "sub", {y, import.cast(node, along_axis(import, node, x, zero, axis, block), DType::F32)});
  }
  y = import.add(node, "mul", {y, along_axis(import, node, x, scale, axis, block)});
  y.dtype = scale.dtype;
  return {y};
}

/// Scale and zero point from the range of x, which always holds 0; to u8.
Operands import_dynamic_quantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const auto number = [&](double value) { return import.number(value, DType::F32); };
  const auto extreme = [&](std::string kind, std::string_view with_zero) {
    const Operand all = import.add(node, "reduce", {x}, {{"kind", std::move(kind)}, {"keep_dims", std::int64_t{0}}});
    return import.add(node, with_zero, {all, number(0.0)});
  };
  const Operand least = extreme("min", "min");
  const Operand most = extreme("max", "max");
  const Operand scale = import.add(node, "div", {import.add(node, "sub", {most, least}), number(255.0)});
  const auto to_u8 = [&](const Operand& value) {
    return import.add(node, "clamp", {import.add(node, "round", {value})}, {{"min", 0.0}, {"max", 255.0}});
  };
  const Operand zero = to_u8(import.add(node, "div", {import.add(node, "neg", {least}), scale}));
  const Operand steps = import.add(node, "round", {import.add(node, "div", {x, scale})});
  const Operand y = import.add(node, "clamp", {import.add(node, "add", {steps, zero})}, {{"min", 0.0}, {"max", 255.0}});
  return {import.cast(node, y, DType::U8), scale, import.cast(node, zero, DType::U8)};
}

/// Cosine windows: sums of cosines of multiples of 2 pi n / N, or N - 1 when they are symmetric.
Operands import_window(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& size = import.required(node, inputs, 0);
  const DType type =
      onnx_type(static_cast<int>(node.integer("output_datatype", 1)), "output_datatype of " + node.label());
  const bool periodic = node.integer("periodic", 1) != 0;
  const Operand count = import.add(node, "squeeze", {import.cast(node, size, DType::I64)});
  const Operand steps = periodic ? count : import.add(node, "sub", {count, import.integer(1)});
  const Operand n =
      import.cast(node, import.add(node, "range", {import.integer(0), count, import.integer(1)}), DType::F32);
  const auto number = [&](double value) { return import.number(value, DType::F32); };
  const Operand turn =
      import.add(node, "div",
                 {import.add(node, "mul", {n, number(2.0 * std::numbers::pi)}), import.cast(node, steps, DType::F32)});
  const auto cosine = [&](double factor, double multiple) {
    const Operand angle = import.add(node, "mul", {turn, number(multiple)});
    return import.add(node, "mul", {import.add(node, "cos", {angle}), number(factor)});
  };
  Operand y;
  if (node.op() == "HannWindow") {
    y = import.add(node, "add", {number(0.5), cosine(-0.5, 1.0)});
  } else if (node.op() == "HammingWindow") {
    y = import.add(node, "add", {number(25.0 / 46.0), cosine(-21.0 / 46.0, 1.0)});
  } else {
    y = import.add(node, "add", {import.add(node, "add", {number(0.42), cosine(-0.5, 1.0)}), cosine(0.08, 2.0)});
  }
  return {import.cast(node, y, type)};
}

}  // namespace

std::vector<OperatorRow> quantise_operators() {
  return {{"QuantizeLinear", import_quantize},
          {"DequantizeLinear", import_dequantize},
          {"DynamicQuantizeLinear", import_dynamic_quantize},
          {"HannWindow", import_window},
          {"HammingWindow", import_window},
          {"BlackmanWindow", import_window}};
}

}  // namespace heed::convert
