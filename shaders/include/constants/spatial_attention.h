#ifndef HEED_CONSTANTS_SPATIAL_ATTENTION_H
#define HEED_CONSTANTS_SPATIAL_ATTENTION_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(SpatialAttentionConstants)
  CONSTANT(1, queries_at_once, QUERIES, 4)  // of a workgroup
  CONSTANT(2, most_keys, KEYS, 64)          // scores of a query that there is memory for
  CONSTANT(3, weights, WEIGHTS, 0)          // 1: written as [keys, queries]; 2: as [queries, keys]
  CONSTANT(4, has_gain, HAS_GAIN, 0)
  CONSTANT(5, has_residual, HAS_RESIDUAL, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(SpatialAttentionPush)
  uint groups;   // workgroups with work
  uint tiles;    // of QUERIES, in a picture
  uint width;    // of q and k
  uint queries;  // of a picture, and so on
  uint keys;
  uint channels;
  float scale;
END_CONSTANTS

#endif
