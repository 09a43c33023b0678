// ONNX's quantisation of tensors, and windows of signal processing.
#include "tools/convert/onnx_quantise.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "tools/convert/onnx_tensor.h"

namespace heed::convert {

QuantisedType quantised_type(const OnnxNode& node, DType dtype, int bits) {
  const bool is_signed = dtype == DType::I8 || dtype == DType::I16;
  const bool wide = dtype == DType::U16 || dtype == DType::I16;
  if (!is_signed && !wide && dtype != DType::U8) {
    node.fail("quantises to " + std::string(dtype_name(dtype)) + ", expected integers of 2, 4, 8 or 16 bits");
  }
  const double values = static_cast<double>(1 << (bits != 0 ? bits : wide ? 16 : 8));
  return {dtype, bits, is_signed ? -values / 2.0 : 0.0, is_signed ? values / 2.0 - 1.0 : values - 1.0};
}

Operand along_axis(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& scale,
                   std::int64_t axis, std::int64_t block) {
  if (block > 0) {
    if (axis < 0 && scale.constant != nullptr) axis += static_cast<std::int64_t>(scale.constant->type.shape.size());
    if (axis < 0) node.fail("has blocks along an axis that is counted from the end");
    // [.., n, ..] -> [.., n, 1, ..] -> [.., n, block, ..] -> the shape of x; the last block may be cut.
    const Operand at = import.integers({axis + 1});
    const Operand wide = import.add(node, "unsqueeze", {scale, at});
    const Operand shape = import.shape(node, scale);
    const auto part = [&](std::int64_t from, std::int64_t to) {
      return import.add(node, "slice", {shape, import.integers({from}), import.integers({to})});
    };
    const std::int64_t end = std::numeric_limits<std::int64_t>::max();
    const auto concat = [&](const std::vector<Operand>& parts) {
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

Operand rounded_to(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& zero,
                   const QuantisedType& to) {
  Operand y = import.add(node, "round", {x});
  if (!zero.absent()) y = import.add(node, "add", {y, import.cast(node, zero, DType::F32)});
  y = import.cast(node, import.add(node, "clamp", {y}, {{"min", to.least}, {"max", to.most}}), to.dtype);
  y.bits = to.bits;
  return y;
}

Operand dequantised(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& scale,
                    const Operand& zero) {
  Operand y = import.cast(node, x, DType::F32);
  if (!zero.absent()) y = import.add(node, "sub", {y, import.cast(node, zero, DType::F32)});
  return import.add(node, "mul", {y, scale});
}

namespace {

using Operands = std::vector<Operand>;

Operands import_quantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  Operand zero = OnnxImporter::optional(inputs, 2);
  QuantisedType to = zero.absent() ? QuantisedType{} : quantised_type(node, zero);
  if (const auto type = static_cast<int>(node.integer("output_dtype", 0)); type != 0) {
    to = quantised_type(node, onnx_held_type(type, "output_dtype of " + node.label()), onnx_narrow_bits(type));
  }
  node.integer("saturate", 1);  // of 8-bit floats
  node.integer("precision", 0);
  const std::int64_t axis = node.integer("axis", 1);
  const std::int64_t block = node.integer("block_size", 0);
  const Operand scale = along_axis(import, node, x, import.required(node, inputs, 1), axis, block);
  const Operand real = is_floating(x.dtype) ? x : import.cast(node, x, DType::F32);
  if (!zero.absent()) zero = along_axis(import, node, x, zero, axis, block);
  return {rounded_to(import, node, import.add(node, "div", {real, scale}), zero, to)};
}

Operands import_dequantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::int64_t axis = node.integer("axis", 1);
  const std::int64_t block = node.integer("block_size", 0);
  const Operand& scale = import.required(node, inputs, 1);
  const auto type = static_cast<int>(node.integer("output_dtype", 0));
  Operand zero = OnnxImporter::optional(inputs, 2);
  if (!zero.absent()) zero = along_axis(import, node, x, zero, axis, block);
  Operand y = dequantised(import, node, x, along_axis(import, node, x, scale, axis, block), zero);
  y.dtype = type == 0 ? scale.dtype : onnx_type(type, "output_dtype of " + node.label());
  return {y};
}

/// Scale and zero point from the range of x, which always holds 0; to u8. Of zeros alone the scale is 1.
Operands import_dynamic_quantize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const auto number = [&](double value) { return import.number(value, DType::F32); };
  const auto extreme = [&](std::string kind, std::string_view with_zero) {
    const Operand all = import.add(node, "reduce", {x}, {{"kind", std::move(kind)}, {"keep_dims", std::int64_t{0}}});
    return import.add(node, with_zero, {all, number(0.0)});
  };
  const Operand least = extreme("min", "min");
  const Operand most = extreme("max", "max");
  const Operand step = import.add(node, "div", {import.add(node, "sub", {most, least}), number(255.0)});
  const Operand scale = import.add(node, "where", {import.add(node, "equal", {step, number(0.0)}), number(1.0), step});
  const QuantisedType to;
  const Operand zero =
      rounded_to(import, node, import.add(node, "div", {import.add(node, "neg", {least}), scale}), Operand{}, to);
  return {rounded_to(import, node, import.add(node, "div", {x, scale}), zero, to), scale, zero};
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
