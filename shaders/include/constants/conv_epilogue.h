#ifndef HEED_CONSTANTS_CONV_EPILOGUE_H
#define HEED_CONSTANTS_CONV_EPILOGUE_H
#include "constants/declare.h"

// What a convolution makes of its sums (shaders/include/conv_epilogue.glsl), by specialization constants of each kernel.
BEGIN_VALUES
// JOIN: what becomes of another tensor of y's shape.
const uint kJoinNone = 0;
const uint kJoinAddBefore = 1;  // y = activation(sum + joined)
const uint kJoinAddAfter = 2;   // y = activation(sum) + joined
const uint kJoinMultiply = 3;   // y = activation(sum) * joined
// BLOCK: 1, or n where blocks of n x n channels become blocks of n x n pixels. ORDER: which channels are a block.
const uint kBlockInner = 0;  // channel (c * n + i) * n + j is pixel (i, j) of channel c: PyTorch's pixel shuffle
const uint kBlockOuter = 1;  // channel (i * n + j) * channels + c is
END_VALUES

#endif
