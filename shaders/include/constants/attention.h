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
  CONSTANT(7, own_positions, OWN_POSITIONS, 0)  // each row has a position of its own, -1: it sees nothing
  CONSTANT(8, tabled, TABLED, 0)                // keys lie where `table` says: 1: for each row, 2: for all
  CONSTANT(9, lengths, LENGTHS, 0)              // memories have lengths of their own, in binding 4
  CONSTANT(10, score, SCORE, 0)                 // 0: dot, 1: additive, 2: cosine, 3: distance
END_SPECIALIZATION

#endif
