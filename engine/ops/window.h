#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.h"

namespace heed::ops {

using Triple = std::array<std::int64_t, 3>;

/// Windows that slide over one to three spatial dimensions of a tensor [batch, channels, spatial..]. Always three
/// dimensions, outermost first; those that the tensor lacks are outer ones of size 1. Window o holds the elements
/// o * stride - begin + k * dilation of each dimension, 0 <= k < kernel, of which some may lie outside.
struct Window {
  std::size_t rank = 0;  // that the tensor has
  Triple in = {1, 1, 1};
  Triple out = {1, 1, 1};
  Triple kernel = {1, 1, 1};
  Triple stride = {1, 1, 1};
  Triple dilation = {1, 1, 1};
  Triple begin = {0, 0, 0};
  Triple end = {0, 0, 0};

  std::int64_t in_count() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_count() const { return out[0] * out[1] * out[2]; }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// Elements that a window spans in dimension i.
  std::int64_t span(std::size_t i) const { return dilation[i] * (kernel[i] - 1) + 1; }
  /// [batch, channels, out..] with as many spatial dimensions as the tensor has.
  Shape shape(std::int64_t batch, std::int64_t channels) const;
};

/// The windows of a node by its attributes strides, dilations, pads (begins, then ends), auto_pad, and ceil_mode, as
/// ONNX's Conv, MaxPool and AveragePool have them. All throw Error "OP 'NAME': ..." for attributes that do not fit `x`.
Window sliding_window(const Node& node, const Shape& x, std::span<const std::int64_t> kernel);
/// The windows of ONNX's ConvTranspose: `in` are the elements that each add a window to `out`; also attributes
/// output_padding and output_shape.
Window transposed_window(const Node& node, const Shape& x, std::span<const std::int64_t> kernel);

/// Three sizes or steps as a shader has them. Throws Error where one does not fit a word.
void copy_to_words(const Triple& from, int (&to)[3]);

/// An attribute of as many integers as `count`, none below `least`; as many `otherwise` where it is absent.
std::vector<std::int64_t> integers_or(const Node& node, std::string_view name, std::size_t count,
                                      std::int64_t otherwise, std::int64_t least);

}  // namespace heed::ops
