#pragma once

#include "ops/window.h"

namespace heed {
class Lowering;

namespace ops {

/// What conv and conv_transpose compute: x [batch, groups * channels, in..] to y [batch, groups * outputs, out..].
struct Convolution {
  Window window;
  std::int64_t batch = 0;
  std::int64_t groups = 1;
  std::int64_t channels = 0;  // of a group
  std::int64_t outputs = 0;   // of a group
  bool transposed = false;  // w is [groups * channels, outputs, kernel..], else [groups * outputs, channels, kernel..]

  std::uint64_t flops() const;
};

/// What a convolution makes of its sums: an Activation, or leaky_relu, x below zero times `slope`.
struct ConvActivation {
  std::uint32_t number = 0;  // of shaders/include/activation.glsl
  double slope = 0.0;

  /// Attributes activation (default "none") and, of leaky_relu, slope (default 0.01). Throws Error for others.
  static ConvActivation of(const Attributes& attributes);
  double operator()(double x) const;
};

/// Appends the dispatches of shaders/conv.comp, with those that pad x and lay out the weights. False, and nothing is
/// appended, where that kernel does not fit.
bool lower_tiles(Lowering& l, const Convolution& conv);

}  // namespace ops
}  // namespace heed
