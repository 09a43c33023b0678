#ifndef HEED_CONSTANTS_ATTENTION_SPLIT_H
#define HEED_CONSTANTS_ATTENTION_SPLIT_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionSplitConstants)
  CONSTANT(1, workgroup, LANES, 64)     // invocations once more: shared arrays are sized by a plain constant
  CONSTANT(2, masked, MASKED, 0)
  CONSTANT(3, half_split, HALF_SPLIT, 0)
  CONSTANT(4, tile, TILE, 64)           // keys scored at a time
  CONSTANT(5, group, GROUP, 1)          // heads of a workgroup, which share keys
  CONSTANT(6, q_length, Q_LENGTH, 1)    // vec4s of a head of q and k
  CONSTANT(7, v_length, V_LENGTH, 1)    // and of v, at most LANES
  CONSTANT(8, key_lanes, KEY_LANES, 8)  // lanes that share a key
END_SPECIALIZATION

#endif
