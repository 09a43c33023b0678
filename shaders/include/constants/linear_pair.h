#ifndef HEED_CONSTANTS_LINEAR_PAIR_H
#define HEED_CONSTANTS_LINEAR_PAIR_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearPairConstants)
  CONSTANT(1, activation, ACTIVATION, 0)
  CONSTANT(2, has_bias, HAS_BIAS, 0)
  CONSTANT(3, has_norm, HAS_NORM, 0)
  CONSTANT(4, gated, GATED, 0)
  CONSTANT(5, band, BAND, 1)
  CONSTANT(6, band_2, BAND_2, 1)
  CONSTANT(7, has_bias_2, HAS_BIAS_2, 0)
  CONSTANT(8, has_residual, HAS_RESIDUAL, 0)
  CONSTANT(9, columns, COLUMNS, 32)  // of h that a workgroup makes, a multiple of a chunk, or of a unit of W2
  CONSTANT(10, sharing, SHARING, 8)  // lanes that have a row together (shared_rows.glsl)
END_SPECIALIZATION

PUSH_CONSTANTS(LinearPairPush)
  uint columns;      // of x
  uint row_units;    // units of a row of W
  uint hidden;       // columns of h; a gated W has twice as many rows
  uint row_units_2;  // of W2
  uint width;        // columns of y
  float norm_eps;
END_CONSTANTS

#endif
