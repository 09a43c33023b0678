#ifndef HEED_CONSTANTS_ATTENTION_H
#define HEED_CONSTANTS_ATTENTION_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionConstants)
  CONSTANT(1, cached, CACHED, 0)
  CONSTANT(2, causal, CAUSAL, 0)
  CONSTANT(3, masked, MASKED, 0)
  CONSTANT(4, tile, TILE, 128)         // keys scored at a time
  CONSTANT(5, slots, SLOTS, 1)         // elements of the value row a lane owns
  CONSTANT(6, q_length, Q_LENGTH, 1)   // elements of a head of q
END_SPECIALIZATION

#endif
