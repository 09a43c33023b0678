#version 450
// variant ACCESS: storage texel
// variant OUTPUTS: 4 1
// variant X: vectors elements
//
// Transposed convolution of pictures, all places in one dispatch (engine/ops/conv_transposed.cpp). A lane owns PIXELS
// neighbours of a row of the output and OUTPUTS channels in registers. Every STRIDE-th of its pixels meets the same taps of
// a row of the kernel, and the taps of all of them read the same few elements of x: with a 4x4 kernel, stride 2 and 8
// pixels 3 fetches and 4 of weights for 128 flops. Of the kernel's rows an output row meets every STRIDE_Y-th.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv_transpose.h"
const uint BOUNDED = 1;
#include "conv_rows.glsl"
#include "conv_epilogue.glsl"

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint block = id % blocks;
  uint rest = id / blocks;
  const uint tile = rest % tiles;
  rest /= tiles;
  const uint oy = rest % height;
  rest /= height;  // batch and group
  const uint group = rest % groups;

  Sum sums[PIXELS];
  for (uint p = 0; p < PIXELS; ++p) sums[p] = Sum(0.0);

  const uint column = tile * (PIXELS / STRIDE / PIECE) + FIRST_PIECE;
  const uint first_tap = (oy + BEGIN_Y) % STRIDE_Y;
  const uint first_row = (oy + BEGIN_Y) / STRIDE_Y;  // under that tap; those of later taps lie above it
  const uint weight_step = KERNEL_Y * KERNEL * blocks;
  uint x_channel = (rest * channels + first_channel) * row_pieces * rows;
  uint w_channel = (group * channels + first_channel) * weight_step + block;
  for (uint c = first_channel; c < end_channel; ++c) {
    for (uint step = 0; step * STRIDE_Y < KERNEL_Y; step += ROWS) {
      Piece xs[ROWS * PIECES];
      Sum ws[ROWS * KERNEL];
      for (uint r = 0; r < ROWS; ++r) {
        const uint row = first_row - (step + r);
        const bool inside = row < rows && first_tap + (step + r) * STRIDE_Y < KERNEL_Y;
        for (uint v = 0; v < PIECES; ++v) {
          xs[r * PIECES + v] = piece_of(x_channel + row * row_pieces + column + v, inside && column + v < row_pieces);
        }
      }
      for (uint r = 0; r < ROWS; ++r) {
        const uint tap = min(first_tap + (step + r) * STRIDE_Y, KERNEL_Y - 1);
        for (uint k = 0; k < KERNEL; ++k) ws[r * KERNEL + k] = load_weight(w, w_channel + (tap * KERNEL + k) * blocks);
      }
      for (uint r = 0; r < ROWS; ++r) {
        for (uint k = 0; k < KERNEL; ++k) {
          // The first pixel that meets this tap, and the element of x that it meets there.
          const uint first = (k + STRIDE * (BEGIN + 1) - BEGIN) % STRIDE;
          const uint element = uint(int(OFFSET) + (int(first + BEGIN) - int(k)) / int(STRIDE));
          for (uint q = 0; q < PIXELS / STRIDE; ++q) {
            sums[first + q * STRIDE] += ws[r * KERNEL + k] * element_of(xs, r * PIECES, element + q);
          }
        }
      }
    }
    x_channel += row_pieces * rows;
    w_channel += weight_step;
  }

  for (uint o = 0; o < OUTPUTS; ++o) {
    const uint n = block * OUTPUTS + o;
    if (n >= outputs) break;
    const uint channel = group * outputs + n;
    const uint at = output_channel(rest / groups, channel, groups * outputs, width * height, width) + oy * width;
    const float before = bias_of(channel);
    for (uint p = 0; p < PIXELS; ++p) {
      const uint ox = tile * PIXELS + p;
      if (ox >= width) break;
      const float sum = part(sums[p], o) + (first_channel > 0 ? y[at + ox] : before);
      y[at + ox] = end_channel == channels ? finished(sum, at + ox) : sum;
    }
  }
}
