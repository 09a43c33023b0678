#pragma once

#include <cstdint>
#include <string_view>

namespace heed::ops {

/// The activation functions of shaders/include/activation.glsl, in its numbering.
enum class Activation : std::uint32_t { None, Silu, Gelu, GeluTanh, Relu, Tanh, Sigmoid };

/// "none", "silu", "gelu", "gelu_tanh", "relu", "tanh", "sigmoid". Throws Error for others.
/// silu(x) = x sigmoid(x). gelu(x) = x/2 (1 + erf(x / sqrt 2)) and its tanh form (Hendrycks and Gimpel 2016):
/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
Activation activation_named(std::string_view name);
/// Whether an op is one of these, which have no parameters.
bool is_activation(std::string_view op);
double activate(Activation activation, double x);

}  // namespace heed::ops
