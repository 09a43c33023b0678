#ifndef HEED_CONSTANTS_ATTENTION_STEP_H
#define HEED_CONSTANTS_ATTENTION_STEP_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionStepConstants)
  CONSTANT(1, masked, MASKED, 0)
  CONSTANT(2, tile, TILE, 128)        // keys scored at a time
  CONSTANT(3, slots, SLOTS, 1)        // elements of the value row a lane owns
  CONSTANT(4, q_length, Q_LENGTH, 1)  // elements of a head of q and k
  CONSTANT(5, half_split, HALF_SPLIT, 0)
  CONSTANT(6, heads, HEADS, 1)              // constants, since CPU drivers are slow to divide by what is none
  CONSTANT(7, group_heads, GROUP_HEADS, 1)  // that share keys
END_SPECIALIZATION

#endif
