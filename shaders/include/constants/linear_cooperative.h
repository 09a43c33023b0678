// Of linear_cooperative.comp. Names that linear_tiles.h has too mean the same.
#ifndef HEED_CONSTANTS_LINEAR_COOPERATIVE_H
#define HEED_CONSTANTS_LINEAR_COOPERATIVE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearCooperativeConstants)
CONSTANT(1, m, M, 16)  // of a matrix: rows of x,
CONSTANT(2, n, N, 16)  // columns of y,
CONSTANT(3, k, K, 16)  // and columns of x, at most 32
CONSTANT(4, subgroup_size, SUBGROUP_SIZE, 32)
CONSTANT(5, subgroups_down, SUBGROUPS_DOWN, 2)
CONSTANT(6, subgroups_across, SUBGROUPS_ACROSS, 2)
CONSTANT(7, matrix_rows, MATRIX_ROWS, 2)  // of a subgroup
CONSTANT(8, matrix_columns, MATRIX_COLUMNS, 2)
CONSTANT(9, activation, ACTIVATION, 0)
CONSTANT(10, has_bias, HAS_BIAS, 0)
CONSTANT(11, has_residual, HAS_RESIDUAL, 0)
CONSTANT(12, gated, GATED, 0)
CONSTANT(13, band, BAND, 1)
CONSTANT(14, in_parts, IN_PARTS, 0)
CONSTANT(15, unit_lanes, UNIT_LANES, 1)  // that share a unit of weights
CONSTANT(16, halves, HALVES, 2)          // of x
END_SPECIALIZATION

PUSH_CONSTANTS(LinearCooperativePush)
uint rows;
uint x_words;  // of a row of x, each of 8 halves
uint row_units;
uint count;
uint first;
uint width;
uint row_tiles;
uint parts;
uint part_steps;
END_CONSTANTS

#endif
