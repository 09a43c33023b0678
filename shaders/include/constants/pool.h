#ifndef HEED_CONSTANTS_POOL_H
#define HEED_CONSTANTS_POOL_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(PoolConstants)
  CONSTANT(1, kind, KIND, 0)
  CONSTANT(2, shared_window, SHARED, 0)
  CONSTANT(3, has_indices, HAS_INDICES, 0)
  CONSTANT(4, dilated, DILATED, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(PoolPush)
  uint count;  // windows
  int in_size[3];
  int out_size[3];
  int kernel[3];
  int stride[3];
  int dilation[3];
  int begin[3];
  int counted[3];  // the size up to which elements behind x count for the mean; 0: none of the padding does
  uint column_major;
  float p;
  int lowest;
END_CONSTANTS

#endif
