#ifndef HEED_CONSTANTS_CONV_H
#define HEED_CONSTANTS_CONV_H
#include "constants/declare.h"

// x is counted in pieces (conv_rows.glsl). What FIRST_* point to may lie before x: they wrap around.
SPECIALIZATION_CONSTANTS(ConvConstants)
  CONSTANT(1, pixels, PIXELS, 8)
  CONSTANT(2, kernel, KERNEL, 3)      // along a row
  CONSTANT(3, stride, STRIDE, 1)      // PIXELS * STRIDE are whole pieces
  CONSTANT(4, dilation, DILATION, 1)
  CONSTANT(5, shift, SHIFT, 0)        // elements of the first piece that come before the first tap
  CONSTANT(6, rows_at_once, ROWS, 3)  // of x and the kernel, or channels, that are fetched at a time
  CONSTANT(7, deep, DEEP, 0)          // 0: those are all rows of the kernel
  CONSTANT(8, channels_at_once, CHANNELS, 1)  // that ROWS hold; 1: they are rows of the kernel
  CONSTANT(9, stride_y, STRIDE_Y, 1)
  CONSTANT(10, dilation_y, DILATION_Y, 1)
  CONSTANT(11, first_y, FIRST_Y, 0)          // the row of x under the first tap of the first output
  CONSTANT(12, first_piece, FIRST_PIECE, 0)  // and its first piece there
  CONSTANT(13, bounded, BOUNDED, 0)
  CONSTANT(14, has_bias, HAS_BIAS, 0)
  CONSTANT(15, activation, ACTIVATION, 0)
  CONSTANT(16, join, JOIN, 0)
  CONSTANT(17, block, BLOCK, 1)
  CONSTANT(18, block_order, BLOCK_ORDER, 0)
  CONSTANT(19, quads, QUADS, 1)            // times OUTPUTS channels are of a lane
  CONSTANT(20, tall, TALL, 1)              // rows of the output that are; if more, ROWS are all of a kernel without dilation
  CONSTANT(21, started, STARTED, 0)        // y holds sums of the channels before
  CONSTANT(22, unfinished, UNFINISHED, 0)  // more channels come
END_SPECIALIZATION

PUSH_CONSTANTS(ConvPush)
  uint count;                 // lanes with work, or, by variant SAME_shuffle, workgroups
  uint blocks;                // of OUTPUTS * QUADS output channels in a group
  uint tiles;                 // of PIXELS in a row of the output
  uint width, height, depth;  // of the output
  uint groups;
  uint channels;                          // of a group
  uint kernel_y, kernel_z;                // in ROWS; 0: there are no taps
  uint stride_z, dilation_z, first_z;
  uint weight_step;                       // words of weights of a channel
  uint row_pieces, rows, slices;          // of x as it lies in memory
  uint y_first, y_step, y_row, y_slice, y_channel;  // where outputs lie, in elements
  uint outputs;                           // of a group
  uint first_channel, end_channel;        // that this dispatch adds
  float slope;                            // of the activation below zero
END_CONSTANTS

#endif
