#ifndef HEED_CONSTANTS_ATTENTION_ROWS_H
#define HEED_CONSTANTS_ATTENTION_ROWS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionRowsConstants)
  CONSTANT(1, cached, CACHED, 0)
  CONSTANT(2, causal, CAUSAL, 0)
  CONSTANT(3, masked, MASKED, 0)
  CONSTANT(4, q_length, Q_LENGTH, 1)  // vec4s of a head of q
  CONSTANT(5, v_length, V_LENGTH, 1)  // and of v
  CONSTANT(6, keys_at_a_time, KEYS, 4)  // that share a new maximum; few for large heads, or newer CPU drivers spill
  CONSTANT(7, own_positions, OWN_POSITIONS, 0)  // these as in attention.h
  CONSTANT(8, lengths, LENGTHS, 0)
  CONSTANT(9, tabled, TABLED, 0)  // 0 or 2
END_SPECIALIZATION

#endif
