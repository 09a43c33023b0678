#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace heed::ops {

/// How one dimension is resized: element o of the result is the sum over t < taps of weight[o * taps + t] times element
/// index[o * taps + t] of x, or the extrapolation value where that index is -1.
struct ResizeAxis {
  std::size_t axis = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t taps = 1;
  std::vector<std::int32_t> index;
  std::vector<float> weight;

  bool changes() const;  // false where the result is x
};

/// The inputs of a resize node that are there; the others are nullptr.
struct ResizeInputs {
  const std::vector<double>* roi = nullptr;
  const std::vector<double>* scales = nullptr;
  const std::vector<double>* sizes = nullptr;
};

/// The shape that a resize node gives. Throws Error "OP 'NAME': ..." where inputs and attributes do not fit.
Shape resized_shape(const Node& node, const Shape& x, const ResizeInputs& inputs);
/// The axes that it names, one table each; a resize of several dimensions is one after the other, since their weights
/// multiply. For what resized_shape has taken.
std::vector<ResizeAxis> resize_tables(const Node& node, const Shape& x, const ResizeInputs& inputs);

}  // namespace heed::ops
