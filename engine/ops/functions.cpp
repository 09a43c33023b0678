#include "ops/functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "graph/convert_dtype.h"
#include "ops/activation.h"
#include "ops/op.h"

namespace heed::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Numbers as in shaders/include/functions.glsl. Defaults are ONNX's.
constexpr Function kFunctions[] = {
    {"silu", 0, 1, Domain::Real, {}, {}},
    {"gelu", 1, 1, Domain::Real, {}, {}},
    {"gelu_tanh", 2, 1, Domain::Real, {}, {}},
    {"relu", 3, 1, Domain::Number, {}, {}},
    {"tanh", 4, 1, Domain::Real, {}, {}},
    {"sigmoid", 5, 1, Domain::Real, {}, {}},
    {"exp", 6, 1, Domain::Real, {}, {}},
    {"neg", 7, 1, Domain::Number, {}, {}},
    {"sqrt", 8, 1, Domain::Real, {}, {}},
    {"abs", 9, 1, Domain::Number, {}, {}},
    {"ceil", 10, 1, Domain::Real, {}, {}},
    {"floor", 11, 1, Domain::Real, {}, {}},
    {"round", 12, 1, Domain::Real, {}, {}},  // ties to even
    {"sign", 13, 1, Domain::Number, {}, {}},
    {"log", 14, 1, Domain::Real, {}, {}},
    {"sin", 15, 1, Domain::Real, {}, {}},
    {"cos", 16, 1, Domain::Real, {}, {}},
    {"tan", 17, 1, Domain::Real, {}, {}},
    {"asin", 18, 1, Domain::Real, {}, {}},
    {"acos", 19, 1, Domain::Real, {}, {}},
    {"atan", 20, 1, Domain::Real, {}, {}},
    {"sinh", 21, 1, Domain::Real, {}, {}},
    {"cosh", 22, 1, Domain::Real, {}, {}},
    {"asinh", 23, 1, Domain::Real, {}, {}},
    {"acosh", 24, 1, Domain::Real, {}, {}},
    {"atanh", 25, 1, Domain::Real, {}, {}},
    {"erf", 26, 1, Domain::Real, {}, {}},
    {"reciprocal", 27, 1, Domain::Real, {}, {}},
    {"softplus", 28, 1, Domain::Real, {}, {}},
    {"softsign", 29, 1, Domain::Real, {}, {}},
    {"elu", 30, 1, Domain::Real, {"alpha"}, {1.0}},
    {"celu", 31, 1, Domain::Real, {"alpha"}, {1.0}},
    {"selu", 32, 1, Domain::Real, {"alpha", "gamma"}, {1.67326319217681884765625, 1.05070102214813232421875}},
    {"leaky_relu", 33, 1, Domain::Real, {"alpha"}, {0.01}},
    {"hard_sigmoid", 34, 1, Domain::Real, {"alpha", "beta"}, {0.2, 0.5}},
    {"hard_swish", 35, 1, Domain::Real, {}, {}},
    {"thresholded_relu", 36, 1, Domain::Real, {"alpha"}, {1.0}},
    {"shrink", 37, 1, Domain::Real, {"lambda", "bias"}, {0.5, 0.0}},
    {"mish", 38, 1, Domain::Real, {}, {}},
    {"swish", 39, 1, Domain::Real, {"alpha"}, {1.0}},
    {"isnan", 40, 1, Domain::RealTest, {}, {}},
    {"isinf", 41, 1, Domain::RealTest, {"negative", "positive"}, {1.0, 1.0}},
    {"not", 42, 1, Domain::Integer, {}, {}},
    {"bitwise_not", 43, 1, Domain::Integer, {}, {}},
    {"clamp", 44, 1, Domain::Real, {"min", "max"}, {-kInfinity, kInfinity}},
    {"add", 64, 2, Domain::Number, {}, {}},
    {"sub", 65, 2, Domain::Number, {}, {}},
    {"mul", 66, 2, Domain::Number, {}, {}},
    {"div", 67, 2, Domain::Number, {}, {}},  // integers: towards zero
    {"max", 68, 2, Domain::Number, {}, {}},
    {"min", 69, 2, Domain::Number, {}, {}},
    {"gate", 70, 2, Domain::Real, {}, {}},  // activation(a) * b
    {"pow", 71, 2, Domain::Number, {}, {}},
    {"mod", 72, 2, Domain::Number, {}, {}},   // with the sign of b
    {"fmod", 73, 2, Domain::Number, {}, {}},  // with the sign of a
    {"prelu", 74, 2, Domain::Real, {}, {}},   // a below zero times b
    {"equal", 75, 2, Domain::Comparison, {}, {}},
    {"less", 76, 2, Domain::Comparison, {}, {}},
    {"less_equal", 77, 2, Domain::Comparison, {}, {}},
    {"greater", 78, 2, Domain::Comparison, {}, {}},
    {"greater_equal", 79, 2, Domain::Comparison, {}, {}},
    {"and", 80, 2, Domain::Integer, {}, {}},
    {"or", 81, 2, Domain::Integer, {}, {}},
    {"xor", 82, 2, Domain::Integer, {}, {}},
    {"bitwise_and", 83, 2, Domain::Integer, {}, {}},
    {"bitwise_or", 84, 2, Domain::Integer, {}, {}},
    {"bitwise_xor", 85, 2, Domain::Integer, {}, {}},
    {"shift_left", 86, 2, Domain::Integer, {}, {}},
    {"shift_right", 87, 2, Domain::Integer, {}, {}},
};

/// Whether integers of the type wrap around within the 32 bits of a device's word.
bool within_word(DType type) {
  return type == DType::I32 || type == DType::I16 || type == DType::U16 || type == DType::I8 || type == DType::U8;
}

/// a b of such integers; a product in double would lose its last bits.
double wrapped_product(double a, double b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(
      static_cast<std::uint64_t>(to_integer(a)) * static_cast<std::uint64_t>(to_integer(b)) & 0xffffffffu));
}

double wrapped_power(double base, double exponent) {
  double power = 1.0;
  for (std::int64_t n = to_integer(exponent); n > 0; n >>= 1) {
    if ((n & 1) != 0) power = wrapped_product(power, base);
    base = wrapped_product(base, base);
  }
  return power;
}

/// NaN goes through both, as in NumPy and PyTorch.
double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double smaller(double a, double b) { return std::isnan(a) || a < b ? a : b; }

double integer_power(double base, double exponent) {
  if (exponent < 0.0) return base == 1.0 ? 1.0 : base == -1.0 ? (std::fmod(exponent, 2.0) == 0.0 ? 1.0 : -1.0) : 0.0;
  return std::pow(base, exponent);
}

double apply_real(unsigned number, double x, double alpha, double beta) {
  switch (number) {
    case 6:
      return std::exp(x);
    case 7:
      return -x;
    case 8:
      return std::sqrt(x);
    case 9:
      return std::abs(x);
    case 10:
      return std::ceil(x);
    case 11:
      return std::floor(x);
    case 12:
      return std::nearbyint(x);
    case 13:
      return std::isnan(x) ? x : static_cast<double>(x > 0.0) - static_cast<double>(x < 0.0);
    case 14:
      return std::log(x);
    case 15:
      return std::sin(x);
    case 16:
      return std::cos(x);
    case 17:
      return std::tan(x);
    case 18:
      return std::asin(x);
    case 19:
      return std::acos(x);
    case 20:
      return std::atan(x);
    case 21:
      return std::sinh(x);
    case 22:
      return std::cosh(x);
    case 23:
      return std::asinh(x);
    case 24:
      return std::acosh(x);
    case 25:
      return std::atanh(x);
    case 26:
      return std::erf(x);
    case 27:
      return 1.0 / x;
    case 28:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case 29:
      return std::isinf(x) ? std::copysign(1.0, x) : x / (1.0 + std::abs(x));
    case 30:
      return x < 0.0 ? alpha * std::expm1(x) : x;
    case 31:
      return std::isnan(x) ? x : std::max(0.0, x) + std::min(0.0, alpha * std::expm1(x / alpha));
    case 32:
      return beta * (x > 0.0 ? x : alpha * std::expm1(x));
    case 33:
      return x < 0.0 ? alpha * x : x;
    case 34:
      return std::clamp(alpha * x + beta, 0.0, 1.0);
    case 35:
      return x * std::clamp(x / 6.0 + 0.5, 0.0, 1.0);
    case 36:
      return x > alpha ? x : 0.0;
    case 37:
      return x < -alpha ? x + beta : x > alpha ? x - beta : 0.0;
    case 38:
      return x * std::tanh(std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))));
    case 39:
      return x / (1.0 + std::exp(-alpha * x));
    case 40:
      return std::isnan(x);
    case 41:
      return (alpha != 0.0 && x == -kInfinity) || (beta != 0.0 && x == kInfinity);
    case 44:
      return std::min(std::max(x, alpha), beta);
    default:
      return x;
  }
}

double apply_binary(unsigned number, DType type, double a, double b) {
  const bool integer = !is_floating(type);
  const std::int64_t ia = integer ? to_integer(a) : 0;
  const std::int64_t ib = integer ? to_integer(b) : 0;
  switch (number) {
    case 64:
      return a + b;
    case 65:
      return a - b;
    case 66:
      return within_word(type) ? wrapped_product(a, b) : a * b;
    case 67:
      if (integer) return ib == 0 ? 0.0 : static_cast<double>(ia / ib);
      return a / b;
    case 68:
      return larger(a, b);
    case 69:
      return smaller(a, b);
    case 71:
      if (within_word(type) && b >= 0.0) return wrapped_power(a, b);
      return integer ? integer_power(a, b) : std::pow(a, b);
    case 72: {
      if (integer && ib == 0) return 0.0;
      const double rest = std::fmod(a, b);
      return rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
    }
    case 73:
      return integer && ib == 0 ? 0.0 : std::fmod(a, b);
    case 74:
      return a < 0.0 ? a * b : a;
    case 75:
      return a == b;
    case 76:
      return a < b;
    case 77:
      return a <= b;
    case 78:
      return a > b;
    case 79:
      return a >= b;
    case 80:
      return a != 0.0 && b != 0.0;
    case 81:
      return a != 0.0 || b != 0.0;
    case 82:
      return (a != 0.0) != (b != 0.0);
    case 83:
      return static_cast<double>(ia & ib);
    case 84:
      return static_cast<double>(ia | ib);
    case 85:
      return static_cast<double>(ia ^ ib);
    case 86:
      return ib < 0 || ib > 31 ? 0.0 : static_cast<double>(ia << ib);
    case 87:
      return ib < 0 || ib > 31 ? 0.0 : static_cast<double>(ia >> ib);
    default:
      return a;
  }
}

}  // namespace

std::span<const Function> all_functions() { return kFunctions; }

const Function* find_function(std::string_view name) {
  const auto* found = std::ranges::find(kFunctions, name, &Function::name);
  return found == std::end(kFunctions) ? nullptr : found;
}

double function_parameter(const Function& function, const Node& node, std::size_t i) {
  const std::string_view name = function.parameters[i];
  return name.empty() ? 0.0 : node.attributes.real(name, function.otherwise[i]);
}

double apply_function(const Function& function, const Node& node, DType type, double a, double b) {
  const bool integer = !is_floating(type);
  double y = 0.0;
  if (function.number == 70) {
    y = activate(activation_named(node.attributes.text("activation")), a) * b;
  } else if (function.number <= 5 && !integer) {
    y = activate(activation_named(function.name), a);
  } else if (function.number == 3) {  // of integers
    y = std::max(a, 0.0);
  } else if (function.number == 42) {
    y = a == 0.0;
  } else if (function.number == 43) {
    y = static_cast<double>(~to_integer(a));
  } else if (function.operands == 1) {
    y = apply_real(function.number, a, function_parameter(function, node, 0), function_parameter(function, node, 1));
  } else {
    y = apply_binary(function.number, type, a, b);
  }
  const bool same = function.domain == Domain::Integer || function.domain == Domain::Number;
  return integer && same && std::isfinite(y) ? wrap_integer(type, y) : y;
}

double convert_number(DType from, DType to, double value) {
  if (to == DType::F16) return f16_to_f32(f32_to_f16(static_cast<float>(value)));
  if (to == DType::BF16) return bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
  if (is_floating(to)) return value;
  if (!std::isfinite(value) && to != DType::Bool) return 0.0;
  return wrap_integer(to, is_floating(from) && to != DType::Bool ? std::trunc(value) : value);
}

}  // namespace heed::ops
