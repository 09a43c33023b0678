// The ordinary convolutions that a transposed one consists of: one for each remainder of a place of y by the stride.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/conv.h"
#include "ops/window.h"

namespace heed::ops {

/// One ordinary convolution, or one of those that make a transposed one: output o < out lies at element y_first + o .
/// y_step of a channel of y, and tap k of it reads element first + o * stride + k * dilation of x, and element w_first
/// + k . w_step of the kernel.
struct Phase {
  Triple out = {1, 1, 1};
  Triple first = {0, 0, 0};
  Triple stride = {1, 1, 1};
  Triple kernel = {1, 1, 1};
  Triple dilation = {1, 1, 1};
  std::int64_t y_first = 0;
  Triple y_step = {0, 0, 0};
  std::int64_t w_first = 0;
  Triple w_step = {0, 0, 0};

  bool empty() const { return kernel[0] * kernel[1] * kernel[2] == 0; }
};

/// Those of a convolution, whose output is blocks of `block` rows and columns where it is not transposed; none where
/// they are too many.
std::vector<Phase> phases_of(const Convolution& c, std::int64_t block);

}  // namespace heed::ops
