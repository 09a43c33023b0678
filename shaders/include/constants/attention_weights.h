#ifndef HEED_CONSTANTS_ATTENTION_WEIGHTS_H
#define HEED_CONSTANTS_ATTENTION_WEIGHTS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionWeightsConstants)
  CONSTANT(1, cached, CACHED, 0)
  CONSTANT(2, causal, CAUSAL, 0)
  CONSTANT(3, masked, MASKED, 0)
  CONSTANT(4, own_positions, OWN_POSITIONS, 0)  // these as in attention.h
  CONSTANT(5, tabled, TABLED, 0)
  CONSTANT(6, lengths, LENGTHS, 0)
  CONSTANT(7, score, SCORE, 0)
END_SPECIALIZATION

#endif
