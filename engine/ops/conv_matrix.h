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

/// Parts that sums are cut into, so that small pictures are work for a whole device: a matter of one picture, since
/// what becomes of it must not depend on how many others there are.
std::int64_t parts_of_picture(const Tuning& tuning, const Convolution& c, std::int64_t steps);

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

/// Lets a dispatch of either leave so many elements of parts of sums, which it returns, where y would be; what it would
/// read for the epilogue is left to conv_parts.comp, and `x` bound in its place.
Binding bind_parts(Lowering& l, Dispatch& d, const Binding& x, std::int64_t elements);

/// Appends the dispatch of shaders/conv_parts.comp.
void emit_conv_parts(Lowering& l, const Convolution& c, Binding sums, std::int64_t parts);

}  // namespace heed::ops
