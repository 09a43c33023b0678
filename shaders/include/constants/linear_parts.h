// Of linear_parts.comp. Names that linear_tiles.h has too mean the same.
#ifndef HEED_CONSTANTS_LINEAR_PARTS_H
#define HEED_CONSTANTS_LINEAR_PARTS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearPartsConstants)
CONSTANT(1, activation, ACTIVATION, 0)
CONSTANT(2, has_bias, HAS_BIAS, 0)
CONSTANT(3, has_residual, HAS_RESIDUAL, 0)
CONSTANT(4, gated, GATED, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(LinearPartsPush)
uint rows;
uint count;
uint first;
uint width;
uint parts;
END_CONSTANTS

#endif
