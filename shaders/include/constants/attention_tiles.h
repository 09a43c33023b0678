#ifndef HEED_CONSTANTS_ATTENTION_TILES_H
#define HEED_CONSTANTS_ATTENTION_TILES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionTilesConstants)
  CONSTANT(1, workgroup, LANES, 64)  // invocations once more: shared arrays are sized by a plain constant
  CONSTANT(2, cached, CACHED, 0)
  CONSTANT(3, causal, CAUSAL, 0)
  CONSTANT(4, masked, MASKED, 0)
  CONSTANT(5, own_positions, OWN_POSITIONS, 0)  // these as in attention.h
  CONSTANT(6, lengths, LENGTHS, 0)
  CONSTANT(7, q_length, Q_LENGTH, 1)            // vec4s of a head of q and k
  CONSTANT(8, v_length, V_LENGTH, 1)            // and of v
  CONSTANT(9, key_lanes, KEY_LANES, 8)          // lanes that share rows; a tile has four keys for each
  CONSTANT(10, rows_a_lane, ROWS_A_LANE, 4)     // rows of a tile that such lanes own
  CONSTANT(11, words, WORDS, 1)                 // vec4s of the value row that a lane owns: KEY_LANES words cover V_LENGTH
  CONSTANT(12, step, STEP, 1)                   // vec4s of keys that are in shared memory at a time; divides Q_LENGTH
  CONSTANT(13, stride, STRIDE, 1)               // and from key to key there: odd, so that lanes hit different banks
  CONSTANT(14, q_step, Q_STEP, 1)               // vec4s of q that are: STEP, or Q_LENGTH
  CONSTANT(15, value_keys, VALUE_KEYS, 4)       // value rows that are: a multiple of four that divides the tile
  CONSTANT(16, kv_words, KV_WORDS, 32)          // vec4s of shared memory for keys and values in turn
  CONSTANT(17, staged, STAGED, 1)               // of which a lane fetches so many
  CONSTANT(18, q_staged, Q_STAGED, 1)           // and of a chunk of q
  CONSTANT(19, tabled, TABLED, 0)               // as in attention.h, 0 or 2
END_SPECIALIZATION

#endif
