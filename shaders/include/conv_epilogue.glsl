// What all kernels of convolutions make of their sums: bias, activation, another tensor that is added or multiplied, and
// blocks of channels that become blocks of pixels. A kernel declares the specialization constants HAS_BIAS, ACTIVATION,
// JOIN, BLOCK and BLOCK_ORDER, the push constant `slope`, and includes this: it then has the bindings 2 (bias), 3 (joined)
// and 4 (y). engine/ops/conv.h fills all of them: ConvEpilogue.
#ifndef HEED_CONV_EPILOGUE_GLSL
#define HEED_CONV_EPILOGUE_GLSL
#include "constants/conv_epilogue.h"
#include "memory.glsl"
#include "activation.glsl"

READ_F32(2, bias);
READ_F32(3, joined);
UPDATE_F32(4, y);

// Where a channel of a picture of the batch begins in y. `channels`: of the convolution, of all groups; `y_channel`:
// elements of a channel of y; `y_row`: from a row of the convolution's outputs to the next.
uint output_channel(uint picture, uint channel, uint channels, uint y_channel, uint y_row) {
  if (BLOCK == 1) return (picture * channels + channel) * y_channel;
  const uint planes = channels / (BLOCK * BLOCK);
  const uint plane = BLOCK_ORDER == kBlockInner ? channel / (BLOCK * BLOCK) : channel % planes;
  const uint pixel = BLOCK_ORDER == kBlockInner ? channel % (BLOCK * BLOCK) : channel / planes;
  return (picture * planes + plane) * y_channel + pixel / BLOCK * (y_row / BLOCK) + pixel % BLOCK;
}

float bias_of(uint channel) { return HAS_BIAS == 1 ? load_f32(bias, channel) : 0.0; }

// The output that belongs to element `at` of y, of a sum that has its bias.
float finished(float sum, uint at) {
  float other = 0.0;
  if (JOIN != kJoinNone) other = load_f32(joined, at);
  float result = activate(ACTIVATION, JOIN == kJoinAddBefore ? sum + other : sum, slope);
  if (JOIN == kJoinAddAfter) result += other;
  if (JOIN == kJoinMultiply) result *= other;
  return result;
}

#endif
