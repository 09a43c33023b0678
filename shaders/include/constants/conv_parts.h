#ifndef HEED_CONSTANTS_CONV_PARTS_H
#define HEED_CONSTANTS_CONV_PARTS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvPartsConstants)
  CONSTANT(1, has_bias, HAS_BIAS, 0)
  CONSTANT(2, activation, ACTIVATION, 0)
  CONSTANT(3, join, JOIN, 0)
  CONSTANT(4, block, BLOCK, 1)
  CONSTANT(5, block_order, BLOCK_ORDER, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvPartsPush)
  uint count;        // outputs of all pictures
  uint outputs;      // channels
  uint plane;        // outputs of a channel
  uint width;        // of a row
  uint parts;        // of a sum
  float slope;       // of the activation below zero
END_CONSTANTS

#endif
