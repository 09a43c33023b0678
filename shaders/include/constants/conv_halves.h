#ifndef HEED_CONSTANTS_CONV_HALVES_H
#define HEED_CONSTANTS_CONV_HALVES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvHalvesConstants)
  CONSTANT(1, pixels, PIXELS, 16)   // of a workgroup
  CONSTANT(2, sharers, SHARERS, 8)  // lanes of each
  CONSTANT(3, halves, HALVES, 2)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvHalvesPush)
  uint pictures;
  uint groups;
  uint places;         // of a picture
  uint channels;       // of a group
  uint channel_words;  // of 8
END_CONSTANTS

#endif
