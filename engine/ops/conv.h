#pragma once

#include <string>
#include <vector>

#include "ops/fusion.h"
#include "ops/pad.h"
#include "ops/tuning.h"
#include "ops/window.h"
#include "plan/plan.h"

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

  /// Of all taps, or of so many of them, and of so many of a group's channels.
  std::uint64_t flops() const { return flops(channels, window.taps()); }
  std::uint64_t flops(std::int64_t of_channels, std::int64_t taps) const;
};

/// What a convolution makes of its sums: an Activation, or leaky_relu, x below zero times `slope`.
struct ConvActivation {
  std::uint32_t number = 0;  // of shaders/include/activation.glsl
  double slope = 0.0;

  /// Attributes activation (default "none") and, of leaky_relu, slope (default 0.01). Throws Error for others.
  static ConvActivation of(const Attributes& attributes);
  double operator()(double x) const;
};

/// All that a convolution makes of its sums (shaders/include/conv_epilogue.glsl): activation, then another tensor of
/// y's shape, input 3, which is added or multiplied, then blocks of channels that become blocks of pixels.
struct ConvEpilogue {
  ConvActivation activation;
  std::uint32_t join = 0;   // kJoin* of constants/conv_epilogue.h
  std::int64_t block = 1;   // rows and columns of a block of pixels; its channels are block * block
  std::uint32_t order = 0;  // kBlock* of the same

  /// Attributes of ConvActivation; join ("none", "add_before" the activation, "add_after" it, "multiply"), block
  /// (default 1), and block_order ("inner": channel (c * block + i) * block + j, or "outer": channel (i * block + j) *
  /// channels + c, is pixel i, j of channel c). Throws Error for others.
  static ConvEpilogue of(const Attributes& attributes);
  /// The shape of y, of what the convolution itself makes: [batch, channels, out..].
  Shape shape(Shape made) const;
};

/// Bindings 2, 3 and 4 of every kernel that includes conv_epilogue.glsl: bias, what is joined, and y; `x` stands in for
/// those that are absent.
std::vector<Binding> epilogue_bindings(Lowering& l, const Binding& x);

/// Taps of a kernel, in the order in which a dispatch goes through them: tap k is element first + k . step.
struct ConvTaps {
  Triple kernel = {1, 1, 1};
  std::int64_t first = 0;
  Triple step = {0, 0, 0};
};

/// Weights as kernels that include conv_rows.glsl read them: [groups, channels, taps.., outputs], the last padded to
/// whole `quads`, vec4s that a lane takes, unless it is 1. Those of a file are laid out so when they are uploaded,
/// others by a dispatch, into memory with this `number` in its name.
Binding place_taps(Lowering& l, const Convolution& c, const ConvTaps& taps, std::int64_t quads, std::size_t number);

/// The weight, input 1, in the order of `padding`, with zeros in what it has none of: laid out so when it is uploaded
/// where it is of a file, else by a dispatch, into memory of this name.
Binding place_weight(Lowering& l, Padding padding, View view, std::string name);

/// Appends the dispatches of shaders/conv_cooperative.comp. False, and nothing is appended, where that kernel does not
/// fit, the device has no such matrices, or it measures slower (Tuning::conv_cooperative).
bool lower_cooperative(Lowering& l, const Convolution& conv);

/// Appends the dispatches of shaders/conv_matrix.comp. False, and nothing is appended, where that kernel does not fit,
/// or measures slower (Tuning::conv_tile).
bool lower_matrix(Lowering& l, const Convolution& conv);

/// Appends the dispatch of shaders/conv_transpose.comp. False, and nothing is appended, where that kernel does not fit,
/// or measures slower (Tuning::one_pass_convs).
bool lower_transposed(Lowering& l, const Convolution& conv);

/// Appends the dispatches of shaders/conv.comp, with those that pad x and lay out the weights. False, and nothing is
/// appended, where that kernel does not fit.
bool lower_tiles(Lowering& l, const Convolution& conv);

/// What the tuner times for this op (conv_tuning.cpp).
std::vector<TuningStep> conv_tuning();

/// What a convolution alone can use of a graph around it becomes part of it (conv_fusions.cpp): an activation, another
/// tensor of the same shape that is added or multiplied, and pixel shuffle.
void fuse_conv_epilogue(const FusionContext& context);

}  // namespace ops
}  // namespace heed
