// Of conv_matrix.comp, and of conv_parts.comp, which makes outputs of its sums.
#ifndef HEED_CONSTANTS_CONV_MATRIX_H
#define HEED_CONSTANTS_CONV_MATRIX_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvMatrixConstants)
  CONSTANT(1, tile_rows, TILE_ROWS, 64)        // output channels
  CONSTANT(2, tile_columns, TILE_COLUMNS, 64)  // pixels
  CONSTANT(3, lane_rows, LANE_ROWS, 8)
  CONSTANT(4, lane_columns, LANE_COLUMNS, 4)
  CONSTANT(5, kernel_x, KERNEL_X, 3)
  CONSTANT(6, kernel_y, KERNEL_Y, 3)
  CONSTANT(7, kernel_z, KERNEL_Z, 1)
  CONSTANT(8, bounded, BOUNDED, 1)  // taps may lie outside x: 0: never, 1: of rows and their elements, 2: of slices too
  CONSTANT(9, ragged, RAGGED, 0)    // channels are no multiple of 4
  CONSTANT(10, has_bias, HAS_BIAS, 0)
  CONSTANT(11, activation, ACTIVATION, 0)
  CONSTANT(12, join, JOIN, 0)
  CONSTANT(13, block, BLOCK, 1)
  CONSTANT(14, block_order, BLOCK_ORDER, 0)
  CONSTANT(15, in_parts, IN_PARTS, 0)  // conv_parts.comp adds the sums up
END_SPECIALIZATION

// Of three dimensions: slices, rows, elements.
PUSH_CONSTANTS(ConvMatrixPush)
  uint pixels;           // of all pictures
  uint out_size[3];
  uint in_size[3];
  uint stride[3];
  uint dilation[3];
  uint begin[3];
  uint groups;
  uint channels;         // of a group
  uint outputs;          // of a group
  uint channel_vectors;  // of 4 channels, the last of which may be less than whole
  uint row_tiles;        // tiles of output channels
  uint parts;            // of a sum
  uint part_steps;       // and their length, in steps of 8 vectors
  float slope;           // of the activation below zero
END_CONSTANTS

#endif
