#ifndef HEED_CONSTANTS_ATTENTION_PREPARE_H
#define HEED_CONSTANTS_ATTENTION_PREPARE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionPrepareConstants)
  CONSTANT(1, half_split, HALF_SPLIT, 0)
  CONSTANT(2, own_positions, OWN_POSITIONS, 0)  // as in attention.h
END_SPECIALIZATION

PUSH_CONSTANTS(AttentionPreparePush)
  uint rows;
  uint heads;
  uint kv_heads;
  uint head_dim;
  uint value_dim;
  uint cache_rows;           // that are bound
  uint block_shift;          // as in attention_push.h
  uint positions;            // that `places` has, of each row,
  uint table_columns;        // or of all rows, where it has one column
  uint dims;                 // turned elements of a head, 0 for none
  uint q_row, k_row, v_row;  // elements from row to row
  uint k_first, v_first;     // first elements of k and v in their buffers
  uint cache_first;          // row of the whole cache where what is bound of it begins
END_CONSTANTS

#endif
