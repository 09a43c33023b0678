#pragma once

#include "ops/conv.h"
#include "plan/lowering.h"

/// What convolutions as products of matrices have in common, in plain tiles (shaders/conv_matrix.comp) and in those of
/// cooperative matrices (shaders/conv_cooperative.comp): a workgroup makes a tile of the channels of a group and of
/// pixels, in steps of 32 elements under the kernel.
namespace heed::ops {

inline constexpr std::int64_t kStepElements = 32;
inline constexpr std::uint32_t kLeastConvTile = 32;

/// Whether a group is enough for tiles of its own, which hold nothing of others. Those of few outputs, such as
/// depthwise ones, have rows that are empty; and of few channels, most of so many steps is what is added to make words
/// of them.
bool fills_tiles(const Convolution& c, std::int64_t steps);

/// What kernels count elements and words by.
inline constexpr std::int64_t kMostElements = 0x7fffffff;

/// How the sums of outputs are cut into parts, so that small pictures are work for a whole device.
struct SumParts {
  std::int64_t count = 1;
  std::int64_t steps = 0;     // of a part, the last of which may have fewer
  std::int64_t elements = 0;  // that parts leave for conv_parts.comp; 0 of whole sums

  /// Of sums of so many steps. A matter of one picture, since what becomes of it must not depend on how many others
  /// there are. There are no more than kMostElements outputs.
  static SumParts of(const Tuning& tuning, const Convolution& c, std::int64_t steps);
  /// Whether the elements fit what kernels count by, and a binding.
  bool fit(const DeviceCaps& caps) const;
};

/// Channels of a tile of at most so many: few that are none, but more where that costs less than reading x again.
std::uint32_t channels_of_tile(std::int64_t outputs, std::uint32_t most);

/// 0: no tap lies outside of x; 1: rows or their elements may; 2: slices too.
std::uint32_t bounds_of(const Window& w);

/// What both kernels are told of how the window goes over x.
template <typename Push>
void put_window(const Window& w, Push& push) {
  for (std::size_t i = 0; i < 3; ++i) {
    push.out_size[i] = i32(w.out[i]);
    push.in_size[i] = i32(w.in[i]);
    push.stride[i] = i32(w.stride[i]);
    push.dilation[i] = i32(w.dilation[i]);
    push.begin[i] = i32(w.begin[i]);
  }
}

/// Lets a dispatch of either leave parts of sums, which it returns, where y would be; what it would read for the
/// epilogue is left to conv_parts.comp, and `x` bound in its place.
Binding bind_parts(Lowering& l, Dispatch& d, const Binding& x, const SumParts& parts);

/// Appends the dispatch of shaders/conv_parts.comp.
void emit_conv_parts(Lowering& l, const Convolution& c, Binding sums, const SumParts& parts);

}  // namespace heed::ops
