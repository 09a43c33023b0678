// Of linear_dot.comp. Names that linear.h has too mean the same.
#ifndef HEED_CONSTANTS_LINEAR_DOT_H
#define HEED_CONSTANTS_LINEAR_DOT_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearDotConstants)
CONSTANT(1, subgroup_size, SUBGROUP_SIZE, 32)
CONSTANT(2, rows, ROWS, 2)  // of weights, that a subgroup multiplies at a time
CONSTANT(3, columns, COLUMNS, 1)  // rows of x that share them
CONSTANT(4, activation, ACTIVATION, 0)
CONSTANT(5, has_bias, HAS_BIAS, 0)
CONSTANT(6, has_residual, HAS_RESIDUAL, 0)
CONSTANT(7, has_norm, HAS_NORM, 0)
CONSTANT(8, gated, GATED, 0)
CONSTANT(9, band, BAND, 1)
CONSTANT(10, x_words, X_WORDS, 2)  // of a row of x, each 16 elements' bytes
END_SPECIALIZATION

PUSH_CONSTANTS(LinearDotPush)
uint rows;
uint row_units;
uint count;
uint first;
uint width;
float norm_eps;
END_CONSTANTS

#endif
