// Of conv_cooperative.comp. Names that conv_matrix.h or linear_cooperative.h has too mean the same.
#ifndef HEED_CONSTANTS_CONV_COOPERATIVE_H
#define HEED_CONSTANTS_CONV_COOPERATIVE_H
#include "constants/declare.h"

BEGIN_VALUES
const int kMostMarks = 4194304;  // more than products of marks of a sum make: 4 for each of its products
END_VALUES

SPECIALIZATION_CONSTANTS(ConvCooperativeConstants)
  CONSTANT(1, m, M, 16)  // of a matrix: output channels,
  CONSTANT(2, n, N, 16)  // pixels,
  CONSTANT(3, k, K, 16)  // and elements under the kernel, at most 32
  CONSTANT(4, subgroup_size, SUBGROUP_SIZE, 32)
  CONSTANT(5, subgroups_down, SUBGROUPS_DOWN, 2)
  CONSTANT(6, subgroups_across, SUBGROUPS_ACROSS, 2)
  CONSTANT(7, matrix_rows, MATRIX_ROWS, 2)  // of a subgroup
  CONSTANT(8, matrix_columns, MATRIX_COLUMNS, 2)
  CONSTANT(9, x_halves, X_HALVES, 2)
  CONSTANT(10, w_halves, W_HALVES, 2)
  CONSTANT(11, kernel_x, KERNEL_X, 3)
  CONSTANT(12, kernel_y, KERNEL_Y, 3)
  CONSTANT(13, kernel_z, KERNEL_Z, 1)
  CONSTANT(14, bounded, BOUNDED, 1)
  CONSTANT(15, has_bias, HAS_BIAS, 0)
  CONSTANT(16, activation, ACTIVATION, 0)
  CONSTANT(17, join, JOIN, 0)
  CONSTANT(18, block, BLOCK, 1)
  CONSTANT(19, block_order, BLOCK_ORDER, 0)
  CONSTANT(20, in_parts, IN_PARTS, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvCooperativePush)
  uint pixels;
  uint out_size[3];
  uint in_size[3];
  uint stride[3];
  uint dilation[3];
  uint begin[3];
  uint pictures;
  uint groups;
  uint channel_words;  // of 8 channels of a group
  uint row_words;      // of a row of weights, at least whole steps
  uint outputs;        // of a group
  uint row_tiles;
  uint parts;
  uint part_steps;     // of 4 words
  float slope;
END_CONSTANTS

#endif
