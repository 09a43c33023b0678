#ifndef HEED_CONSTANTS_CONV_PLAIN_H
#define HEED_CONSTANTS_CONV_PLAIN_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvPlainConstants)
  CONSTANT(1, transposed, TRANSPOSED, 0)
  CONSTANT(2, has_bias, HAS_BIAS, 0)
  CONSTANT(3, activation, ACTIVATION, 0)
  CONSTANT(4, join, JOIN, 0)
  CONSTANT(5, block, BLOCK, 1)
  CONSTANT(6, block_order, BLOCK_ORDER, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvPlainPush)
  uint count;
  int in_size[3];
  int out_size[3];
  int kernel[3];
  int stride[3];
  int dilation[3];
  int begin[3];
  uint groups;
  uint channels;       // of a group
  uint outputs;        // of a group
  uint first_channel;  // of those that this dispatch adds
  uint end_channel;
  float slope;         // of the activation below zero
END_CONSTANTS

#endif
