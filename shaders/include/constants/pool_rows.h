#ifndef HEED_CONSTANTS_POOL_ROWS_H
#define HEED_CONSTANTS_POOL_ROWS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(PoolRowsConstants)
  CONSTANT(1, pixels, PIXELS, 4)  // of a lane
  CONSTANT(2, kernel_y, KERNEL_Y, 3)
  CONSTANT(3, kernel_x, KERNEL_X, 3)
  CONSTANT(4, stride_x, STRIDE_X, 2)
  CONSTANT(5, mean, MEAN, 0)  // else the maximum
END_SPECIALIZATION

PUSH_CONSTANTS(PoolRowsPush)
  uint count;  // lanes with work
  uint tiles;  // of PIXELS in a row of the output
  uint width, height;
  int in_width, in_height;
  int x_words;  // vec4s of x, where it is read by them
  uint stride_y;
  int begin_x, begin_y;
  int counted_x, counted_y;  // the size up to which elements behind x count for the mean; 0: none of the padding does
END_CONSTANTS

#endif
