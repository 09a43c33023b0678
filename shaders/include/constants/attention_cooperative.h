#ifndef HEED_CONSTANTS_ATTENTION_COOPERATIVE_H
#define HEED_CONSTANTS_ATTENTION_COOPERATIVE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AttentionCooperativeConstants)
CONSTANT(1, m, M, 16)  // of a matrix: rows of q, or of weights,
CONSTANT(2, n, N, 16)  // keys, or columns of values,
CONSTANT(3, k, K, 16)  // and elements of a head, or keys
CONSTANT(4, subgroup_size, SUBGROUP_SIZE, 32)
CONSTANT(5, subgroups_down, SUBGROUPS_DOWN, 4)      // that share the rows of a tile,
CONSTANT(6, subgroups_across, SUBGROUPS_ACROSS, 1)  // and its keys, or the columns of values
CONSTANT(7, matrix_rows, MATRIX_ROWS, 1)            // of a subgroup
CONSTANT(8, key_matrices, KEY_MATRICES, 4)          // of scores, side by side
CONSTANT(9, value_matrices, VALUE_MATRICES, 4)      // of sums
CONSTANT(10, keys, KEYS, 64)                        // of a tile
CONSTANT(11, halves, HALVES, 2)                     // of q and of weights, and of keys and values of f32
CONSTANT(12, q_length, Q_LENGTH, 1)                 // vec4s of a head of q and k
CONSTANT(13, v_length, V_LENGTH, 1)                 // and of v
CONSTANT(14, words, WORDS, 1)                       // vec4s of a key, or a value row, that a lane fetches
CONSTANT(15, kv_stride, KV_STRIDE, 6)               // from key to key, or value to value, in shared memory, in vectors of 4
CONSTANT(16, score_words, SCORE_WORDS, 1088)        // of 16 bytes, of shared memory for scores and weights
CONSTANT(17, cached, CACHED, 0)
CONSTANT(18, causal, CAUSAL, 0)
CONSTANT(19, masked, MASKED, 0)
CONSTANT(20, own_positions, OWN_POSITIONS, 0)  // these as in attention.h
CONSTANT(21, lengths, LENGTHS, 0)
CONSTANT(22, tabled, TABLED, 0)                // 0 or 2
END_SPECIALIZATION

#endif
