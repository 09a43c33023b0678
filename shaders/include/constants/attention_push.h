// Push constants of the attention kernels; attention_block.comp has more behind them.
#ifndef HEED_CONSTANTS_ATTENTION_PUSH_H
#define HEED_CONSTANTS_ATTENTION_PUSH_H
#include "constants/declare.h"

PUSH_CONSTANTS(AttentionPush)
  uint rows;
  uint heads;
  uint kv_heads;
  uint head_dim;
  uint value_dim;
  uint key_rows;  // of the cache, or S
  uint q_row;     // elements from row to row of q
  uint window;
  float scale;
  float softcap;
  uint query_rows;   // of a block of queries: rows of the mask, and of a head's weights
  uint memory_rows;  // queries that see the same memory, of key_rows keys each
  uint mask_head;    // elements of the mask from head to head, 0 when all have the same
  uint mask_memory;  // and from memory to memory
  // attention_newest.glsl and attention_split.comp alone:
  uint k_first, v_first;  // first elements of k and v in their buffers
  uint dims;              // turned elements of a head, 0 for none
  // attention_split.comp alone:
  uint runs;  // workgroups that share a head's keys
  // attention_pieces.comp alone: the first key that is bound, of all key_rows
  uint piece_first;
  uint cache_rows;   // that are bound
  uint block_shift;  // log2 of the positions of which a head's rows lie side by side in a cache (cache.glsl)
#ifdef __cplusplus
END_CONSTANTS
PUSH_CONSTANTS(AttentionBlockPush)
  AttentionPush attention;
#endif
#if defined(__cplusplus) || defined(ATTENTION_BLOCK)
  uint columns;      // of x
  uint row_units;    // units of a row of W
  uint row_units_2;  // of W2
  uint width;        // columns of y
  float norm_eps;
#endif
END_CONSTANTS

#endif
