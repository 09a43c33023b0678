#ifndef HEED_CONSTANTS_ATTENTION_PIECES_H
#define HEED_CONSTANTS_ATTENTION_PIECES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionPiecesConstants)
  CONSTANT(1, causal, CAUSAL, 0)
  CONSTANT(2, masked, MASKED, 0)
  CONSTANT(3, tile, TILE, 128)        // keys scored at a time
  CONSTANT(4, slots, SLOTS, 1)        // elements of the value row a lane owns
  CONSTANT(5, q_length, Q_LENGTH, 1)  // elements of a head of q
  CONSTANT(6, own_positions, OWN_POSITIONS, 0)  // as in attention.h
  CONSTANT(7, first, FIRST, 0)                  // nothing is carried yet
  CONSTANT(8, last, LAST, 0)                    // the result is written, and nothing carried on
END_SPECIALIZATION

#endif
