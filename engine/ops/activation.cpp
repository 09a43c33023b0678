#include "ops/activation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "heed/error.h"

namespace heed::ops {

namespace {

constexpr std::array<std::pair<std::string_view, Activation>, 7> kNames = {{
    {"none", Activation::None},
    {"silu", Activation::Silu},
    {"gelu", Activation::Gelu},
    {"gelu_tanh", Activation::GeluTanh},
    {"relu", Activation::Relu},
    {"tanh", Activation::Tanh},
    {"sigmoid", Activation::Sigmoid},
}};

}  // namespace

Activation activation_named(std::string_view name) {
  for (const auto& [known, activation] : kNames) {
    if (known == name) return activation;
  }
  throw Error(fmt::format("unknown activation '{}'; known: none, silu, gelu, gelu_tanh, relu, tanh, sigmoid", name));
}

bool is_activation(std::string_view op) {
  return std::ranges::any_of(kNames,
                             [&](const auto& known) { return known.second != Activation::None && known.first == op; });
}

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::None:
      return x;
    case Activation::Silu:
      return x / (1.0 + std::exp(-x));
    case Activation::Gelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
    case Activation::GeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::Relu:
      return x > 0.0 || std::isnan(x) ? x : 0.0;
    case Activation::Tanh:
      return std::tanh(x);
    case Activation::Sigmoid:
      return 1.0 / (1.0 + std::exp(-x));
  }
  return x;
}

}  // namespace heed::ops
