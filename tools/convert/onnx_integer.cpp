// ONNX's products of quantised tensors: sums of integers, exact as those of ONNX Runtime.
//
// A sum whose absolute values cannot pass 2^24 is exact in f32, whatever its order, and runs in the kernels for real
// numbers; the weights, which are constants, tell. Others are sums of i32.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "tools/convert/onnx_quantise.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

constexpr double kExactInFloat = 0x1p24;
constexpr double kExactInHalf = 0x1p11;

/// A quantised tensor and its zero point, which broadcasts; or absent.
struct Quantised {
  Operand x;
  Operand zero;
  double most;  // of the absolute values of the difference
};

Quantised quantised(OnnxImporter& import, const OnnxNode& node, const Operand& x, Operand zero, std::int64_t axis) {
  const QuantisedType type = quantised_type(node, x);
  double least_zero = 0.0;
  double most_zero = 0.0;
  if (!zero.absent()) {
    if (quantised_type(node, zero).dtype != type.dtype) node.fail("has a zero point of another type than its tensor");
    least_zero = type.least;
    most_zero = type.most;
    if (zero.constant != nullptr && !zero.constant->data.empty()) {
      const auto [least, most] = std::ranges::minmax(zero.constant->data);
      least_zero = least;
      most_zero = most;
    }
    const bool broadcasts = zero.constant != nullptr && zero.constant->type.shape.size() > 1;
    if (!broadcasts) zero = along_axis(import, node, x, zero, axis, 0);
  }
  return {x, zero, std::max(type.most - least_zero, most_zero - type.least)};
}

/// x - zero, exact in f32 as in i32.
Operand centred(OnnxImporter& import, const OnnxNode& node, const Quantised& q, DType type) {
  const Operand x = import.cast(node, q.x, type);
  return q.zero.absent() ? x : import.add(node, "sub", {x, import.cast(node, q.zero, type)});
}

/// Integers as weights of real numbers.
Operand real_weight(OnnxImporter& import, const Operand& w) {
  const bool small = std::ranges::all_of(w.constant->data, [](double x) { return std::abs(x) <= kExactInHalf; });
  return import.tensor({{small ? DType::F16 : DType::F32, w.constant->type.shape}, w.constant->data}, w.name);
}

/// The largest sum of absolute values; sum i is that of elements i % inner + inner * (i / inner * length + 0, 1, ..).
double largest_sum(const std::vector<double>& data, std::size_t length, std::size_t inner) {
  double largest = 0.0;
  for (std::size_t first = 0; length > 0 && first < data.size(); first += length * inner) {
    for (std::size_t i = 0; i < inner; ++i) {
      double sum = 0.0;
      for (std::size_t k = 0; k < length; ++k) sum += std::abs(data[first + k * inner + i]);
      largest = std::max(largest, sum);
    }
  }
  return largest;
}

double largest(const Operand& bias) {
  double most = 0.0;
  for (const double value : bias.constant->data) most = std::max(most, std::abs(value));
  return most;
}

/// Whether sums of products of x and the weight, with a bias, are exact in f32.
bool fits_float(const Quantised& x, const Operand& w, const Operand& bias, std::size_t length, std::size_t inner) {
  if (x.x.constant != nullptr || (!bias.absent() && bias.constant == nullptr)) return false;
  const double added = bias.absent() ? 0.0 : largest(bias);
  return largest_sum(w.constant->data, length, inner) * x.most + added < kExactInFloat;
}

/// a b + bias, in f32 where that is exact, else in i32.
Operand exact_product(OnnxImporter& import, const OnnxNode& node, const Quantised& a, const Quantised& b,
                      const Operand& bias, bool transpose_a = false, bool transpose_b = false) {
  Operand w = centred(import, node, b, DType::I32);
  if (transpose_b) w = import.transposed(node, w);
  Operand y;
  const Attributes transposition = transpose_a ? Attributes{{"transpose_a", std::int64_t{1}}} : Attributes{};
  if (w.constant != nullptr && !w.constant->data.empty()) {
    const Shape& shape = w.constant->type.shape;
    const auto size = [&](std::size_t from_end) {
      return shape.size() < from_end ? std::size_t{1} : static_cast<std::size_t>(shape[shape.size() - from_end]);
    };
    const bool column = shape.size() == 1;
    if (fits_float(a, w, bias, size(column ? 1 : 2), column ? 1 : size(1))) {
      const Operand real = centred(import, node, a, DType::F32);
      const Operand weight = real_weight(import, w);
      y = shape.size() == 2 && !transpose_a ? import.add(node, "linear", {real, import.transposed(node, weight)})
                                            : import.add(node, "matmul", {real, weight}, transposition);
      return bias.absent() ? y : import.add(node, "add", {y, import.cast(node, bias, DType::F32)});
    }
  }
  y = import.add(node, "matmul", {centred(import, node, a, DType::I32), w}, transposition);
  return bias.absent() ? y : import.add(node, "add", {y, import.cast(node, bias, DType::I32)});
}

Operand convolution(OnnxImporter& import, const OnnxNode& node, const Quantised& x, const Quantised& weight,
                    const Operand& bias) {
  const Attributes attributes = convolution_attributes(node, weight.x);
  const Operand w = centred(import, node, weight, DType::I32);
  Operands operands;
  if (w.constant != nullptr && !w.constant->data.empty() && !w.constant->type.shape.empty() &&
      fits_float(x, w, bias, w.constant->data.size() / static_cast<std::size_t>(w.constant->type.shape[0]), 1)) {
    operands = {centred(import, node, x, DType::F32), real_weight(import, w)};
    if (!bias.absent()) operands.push_back(import.cast(node, bias, DType::F32));
  } else {
    operands = {centred(import, node, x, DType::I32), w};
    if (!bias.absent()) operands.push_back(bias);
  }
  return import.add(node, "conv", operands, attributes);
}

/// a b / y of scales, each step rounded to f32 as ONNX Runtime does it; without y a b.
Operand ratio(OnnxImporter& import, const OnnxNode& node, const Operand& a, const Operand& b, const Operand& y) {
  const auto single = [](const Operand& scale) {
    return scale.constant != nullptr && scale.constant->data.size() == 1;
  };
  if (single(a) && b.constant != nullptr && (y.absent() || single(y))) {
    HostTensor result = *b.constant;
    result.type.dtype = DType::F32;
    for (double& value : result.data) {
      float scale = static_cast<float>(a.constant->data[0]) * static_cast<float>(value);
      if (!y.absent()) scale /= static_cast<float>(y.constant->data[0]);
      value = static_cast<double>(scale);
    }
    return import.tensor(std::move(result));
  }
  const Operand product = import.add(node, "mul", {a, b});
  return y.absent() ? product : import.add(node, "div", {product, y});
}

/// A sum as the quantised result.
Operand requantised(OnnxImporter& import, const OnnxNode& node, const Operand& sum, const Operand& scale,
                    const Operand& zero, const QuantisedType& to, std::int64_t axis) {
  const Operand real = import.cast(node, sum, DType::F32);
  const Operand steps = import.add(node, "mul", {real, along_axis(import, node, sum, scale, axis, 0)});
  return rounded_to(import, node, steps, zero, to);
}

Operands import_conv_integer(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Quantised x = quantised(import, node, import.required(node, inputs, 0), OnnxImporter::optional(inputs, 2), 1);
  const Quantised w = quantised(import, node, import.required(node, inputs, 1), OnnxImporter::optional(inputs, 3), 0);
  return {import.cast(node, convolution(import, node, x, w, Operand{}), DType::I32)};
}

Operands import_qlinear_conv(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 8; ++i) import.required(node, inputs, i);
  const Quantised x = quantised(import, node, inputs[0], inputs[2], 1);
  const Quantised w = quantised(import, node, inputs[3], inputs[5], 0);
  const Operand sum = convolution(import, node, x, w, OnnxImporter::optional(inputs, 8));
  const Operand scale = ratio(import, node, inputs[1], inputs[4], inputs[6]);
  return {requantised(import, node, sum, scale, inputs[7], quantised_type(node, inputs[7]), 1)};
}

Operands import_matmul_integer(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Quantised a = quantised(import, node, import.required(node, inputs, 0), OnnxImporter::optional(inputs, 2), -2);
  const Quantised b = quantised(import, node, import.required(node, inputs, 1), OnnxImporter::optional(inputs, 3), -1);
  return {import.cast(node, exact_product(import, node, a, b, Operand{}), DType::I32)};
}

Operands import_qlinear_matmul(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 8; ++i) import.required(node, inputs, i);
  for (const std::size_t i : {1, 6}) {
    if (inputs[i].constant != nullptr && inputs[i].constant->data.size() > 1) {
      node.fail(fmt::format(
          "has a scale of each row, {} of them, for {}; ONNX Runtime refuses that too, quantise it with one",
          inputs[i].constant->data.size(), i == 1 ? "a" : "y"));
    }
  }
  const Quantised a = quantised(import, node, inputs[0], inputs[2], -2);
  const Quantised b = quantised(import, node, inputs[3], inputs[5], -1);
  const Operand sum = exact_product(import, node, a, b, Operand{});
  const Operand scale = ratio(import, node, inputs[1], inputs[4], inputs[6]);
  return {requantised(import, node, sum, scale, inputs[7], quantised_type(node, inputs[7]), -1)};
}

/// ONNX Runtime's Gemm of quantised matrices; without a scale of y it is real. C is in steps of both scales.
Operands import_qgemm(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 6; ++i) import.required(node, inputs, i);
  const Quantised a = quantised(import, node, inputs[0], inputs[2], -2);
  const bool transpose_b = node.integer("transB", 0) != 0;
  const Quantised b = quantised(import, node, inputs[3], inputs[5], transpose_b ? -2 : -1);
  const Operand sum =
      exact_product(import, node, a, b, OnnxImporter::optional(inputs, 6), node.integer("transA", 0) != 0, transpose_b);
  const double alpha = node.real("alpha", 1.0);
  Operand scale_a = inputs[1];
  if (alpha != 1.0) scale_a = import.add(node, "mul", {scale_a, import.number(alpha, DType::F32)});
  const Operand scale = ratio(import, node, scale_a, inputs[4], OnnxImporter::optional(inputs, 7));
  if (OnnxImporter::optional(inputs, 7).absent()) {
    return {import.add(node, "mul", {import.cast(node, sum, DType::F32), along_axis(import, node, sum, scale, -1, 0)})};
  }
  const Operand& zero = import.required(node, inputs, 8);
  return {requantised(import, node, sum, scale, zero, quantised_type(node, zero), -1)};
}

}  // namespace

std::vector<OperatorRow> integer_operators() {
  return {{"ConvInteger", import_conv_integer},
          {"QLinearConv", import_qlinear_conv},
          {"MatMulInteger", import_matmul_integer},
          {"QLinearMatMul", import_qlinear_matmul},
          {"com.microsoft.QGemm", import_qgemm}};
}

}  // namespace heed::convert
