#ifndef HEED_CONSTANTS_CONV_H
#define HEED_CONSTANTS_CONV_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvConstants)
  CONSTANT(1, pixels, PIXELS, 8)
  CONSTANT(2, kernel, KERNEL, 3)      // along a row
  CONSTANT(3, stride, STRIDE, 1)      // PIXELS * STRIDE is a multiple of 4
  CONSTANT(4, dilation, DILATION, 1)
  CONSTANT(5, shift, SHIFT, 0)        // elements of the first vec4 that come before the first tap
  CONSTANT(6, rows, ROWS, 3)          // of x and the kernel, or channels, that are fetched at a time
  CONSTANT(7, deep, DEEP, 0)          // 0: those are all rows of the kernel
  CONSTANT(8, has_bias, HAS_BIAS, 0)
  CONSTANT(9, activation, ACTIVATION, 0)
  CONSTANT(10, join, JOIN, 0)
  CONSTANT(11, block, BLOCK, 1)
  CONSTANT(12, block_order, BLOCK_ORDER, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(ConvPush)
  uint count;                 // lanes with work
  uint blocks;                // of OUTPUTS output channels in a group
  uint tiles;                 // of PIXELS in a row of the output
  uint width, height, depth;  // of the output
  uint groups;
  uint channels;                    // of a group
  uint kernel_y, kernel_z;          // in ROWS; 0: there are no taps
  uint stride_y, stride_z;
  uint word_step;                   // from one of ROWS to the next, in vec4s of x
  uint y_step_words, z_step_words;  // from ROWS to the next
  uint channel_step;                // channels that ROWS hold, at least 1
  uint weight_step;                 // words of weights of a channel
  uint x_first;                     // in vec4s
  uint row_words, rows, slices;     // of padded x: vec4s in a row, and so on
  uint y_first, y_step, y_row, y_slice, y_channel;  // where outputs lie, in elements
  uint outputs;                     // of a group
  uint first_channel, end_channel;  // that this dispatch adds
  float slope;                      // of the activation below zero
END_CONSTANTS

#endif
