#ifndef HEED_CONSTANTS_CONV_TRANSPOSE_H
#define HEED_CONSTANTS_CONV_TRANSPOSE_H
#include "constants/declare.h"

// x is counted in pieces (conv_rows.glsl).
SPECIALIZATION_CONSTANTS(ConvTransposeConstants)
  CONSTANT(1, pixels, PIXELS, 8)  // a multiple of STRIDE; PIXELS / STRIDE are whole pieces
  CONSTANT(2, kernel, KERNEL, 4)  // along a row
  CONSTANT(3, stride, STRIDE, 2)
  CONSTANT(4, begin, BEGIN, 1)    // padding: outputs before the first
  CONSTANT(5, kernel_y, KERNEL_Y, 4)
  CONSTANT(6, stride_y, STRIDE_Y, 2)
  CONSTANT(7, begin_y, BEGIN_Y, 1)
  CONSTANT(8, rows_at_once, ROWS, 2)          // of x that are fetched at a time
  CONSTANT(9, pieces, PIECES, 3)              // of a row that a tile needs
  CONSTANT(10, first_piece, FIRST_PIECE, 0)   // of the first tile; before x it wraps around
  CONSTANT(11, offset, OFFSET, 0)             // of the element that output 0 has at tap BEGIN, from the first piece on
  CONSTANT(12, has_bias, HAS_BIAS, 0)
  CONSTANT(13, activation, ACTIVATION, 0)
  CONSTANT(14, join, JOIN, 0)
  CONSTANT(15, block, BLOCK, 1)
  CONSTANT(16, block_order, BLOCK_ORDER, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvTransposePush)
  uint count;          // lanes with work
  uint blocks;         // of OUTPUTS output channels in a group
  uint tiles;          // of PIXELS in a row of the output
  uint width, height;  // of the output
  uint groups;
  uint channels;                    // of a group
  uint row_pieces, rows;            // of x
  uint outputs;                     // of a group
  uint first_channel, end_channel;  // that this dispatch adds
  float slope;                      // of the activation below zero
END_CONSTANTS

#endif
