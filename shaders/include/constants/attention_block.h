#ifndef HEED_CONSTANTS_ATTENTION_BLOCK_H
#define HEED_CONSTANTS_ATTENTION_BLOCK_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionBlockConstants)
  CONSTANT(1, tile, TILE, 128)  // the first four as in attention_step.h
  CONSTANT(2, slots, SLOTS, 1)
  CONSTANT(3, q_length, Q_LENGTH, 1)
  CONSTANT(4, half_split, HALF_SPLIT, 0)
  CONSTANT(5, v_length, V_LENGTH, 1)  // elements of a head of v
  CONSTANT(6, sums, SUMS, 4)          // weight rows of a lane at a time
  CONSTANT(7, has_bias, HAS_BIAS, 0)
  CONSTANT(8, has_norm, HAS_NORM, 0)
  CONSTANT(9, band, BAND, 1)
  CONSTANT(10, band_2, BAND_2, 1)
  CONSTANT(11, has_bias_2, HAS_BIAS_2, 0)
  CONSTANT(12, has_residual, HAS_RESIDUAL, 0)
  CONSTANT(13, sharing, SHARING, 8)  // lanes that have a row together (shared_rows.glsl)
  CONSTANT(14, group_heads, GROUP_HEADS, 1)  // that share keys
END_SPECIALIZATION

#endif
