// Of linear_bytes.comp.
#ifndef HEED_CONSTANTS_LINEAR_BYTES_H
#define HEED_CONSTANTS_LINEAR_BYTES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearBytesConstants)
CONSTANT(1, subgroup_size, SUBGROUP_SIZE, 32)
CONSTANT(2, x_block, X_BLOCK, 32)  // columns that share a step: 32 or 16
CONSTANT(3, x_parts, X_PARTS, 2)   // words of a unit of weights: 2 or 1
END_SPECIALIZATION

PUSH_CONSTANTS(LinearBytesPush)
uint rows;
uint x_words;  // of a row, each 16 elements' bytes
END_CONSTANTS

#endif
