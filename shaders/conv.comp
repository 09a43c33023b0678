#version 450
// variant ACCESS: storage texel
// variant OUTPUTS: 4 1
// variant X: vectors elements
//
// Convolution (engine/ops/conv_tiles.cpp). A lane owns PIXELS neighbours of a row of the output and OUTPUTS channels in
// registers. For each channel and row of the kernel it fetches what its pixels need of a row of x in vec4s, padding
// included, and KERNEL words of weights: with a 3x3 kernel and 8 pixels 3 to 4 fetches and 3 for 192 flops. Lanes go
// through the output channels first, so that neighbours read the same x and neighbouring weights. By single elements 10
// fetches take the place of the 3.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv.h"
#include "conv_rows.glsl"
#include "conv_epilogue.glsl"

const uint LENGTH = SHIFT + (PIXELS - 1) * STRIDE + (KERNEL - 1) * DILATION + 1;
const uint PIECES = (LENGTH + PIECE - 1) / PIECE;

// Adds what ROWS rows of x give, of a channel or of CHANNELS of them: from piece `column` of row `row` on, which may lie
// outside x. All fetches come first: CPU drivers call a function for each, and what is alive then is spilled.
void add_rows(uint x_channel, bool slice_inside, uint row, uint column, uint w_at, inout Sum sums[PIXELS]) {
  Piece xs[ROWS * PIECES];
  Sum ws[ROWS * KERNEL];
  for (uint r = 0; r < ROWS; ++r) {
    const uint row_of = CHANNELS > 1 ? row : row + r * DILATION_Y;
    const uint channel_of = CHANNELS > 1 ? x_channel + r * row_pieces * rows * slices : x_channel;
    const bool row_inside = slice_inside && row_of < rows;
    for (uint v = 0; v < PIECES; ++v) {
      xs[r * PIECES + v] =
          piece_of(channel_of + row_of * row_pieces + column + v, row_inside && column + v < row_pieces);
    }
  }
  for (uint k = 0; k < ROWS * KERNEL; ++k) ws[k] = load_weight(w, w_at + k * blocks);
  for (uint r = 0; r < ROWS; ++r) {
    for (uint k = 0; k < KERNEL; ++k) {
      for (uint p = 0; p < PIXELS; ++p) {
        const uint e = SHIFT + p * STRIDE + k * DILATION;
        sums[p] += ws[r * KERNEL + k] * element_of(xs, r * PIECES, e);
      }
    }
  }
}

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint block = id % blocks;
  uint rest = id / blocks;
  const uint tile = rest % tiles;
  rest /= tiles;
  const uint oy = rest % height;
  rest /= height;
  const uint oz = rest % depth;
  rest /= depth;  // batch and group
  const uint group = rest % groups;

  Sum sums[PIXELS];
  for (uint p = 0; p < PIXELS; ++p) sums[p] = Sum(0.0);

  const uint channel_pieces = row_pieces * rows * slices;
  const uint slice = oz * stride_z + first_z;
  const uint row = oy * STRIDE_Y + FIRST_Y;
  const uint column = tile * (PIXELS * STRIDE / PIECE) + FIRST_PIECE;
  uint x_channel = (rest * channels + first_channel) * channel_pieces;
  uint w_channel = (group * channels + first_channel) * weight_step + block;
  for (uint c = first_channel; c < end_channel; c += CHANNELS) {
    if (DEEP == 0) {
      add_rows(x_channel + slice * rows * row_pieces, slice < slices, row, column, w_channel, sums);
    } else {
      uint w_at = w_channel;
      for (uint kz = 0; kz < kernel_z; ++kz) {
        const uint slice_of = slice + kz * dilation_z;
        const uint x_slice = x_channel + slice_of * rows * row_pieces;
        for (uint ky = 0; ky < kernel_y; ++ky) {
          add_rows(x_slice, slice_of < slices, row + ky * ROWS * DILATION_Y, column, w_at, sums);
          w_at += ROWS * KERNEL * blocks;
        }
      }
    }
    x_channel += CHANNELS * channel_pieces;
    w_channel += CHANNELS * weight_step;
  }

  for (uint o = 0; o < OUTPUTS; ++o) {
    const uint n = block * OUTPUTS + o;
    if (n >= outputs) break;
    const uint channel = group * outputs + n;
    const uint at =
        y_first + output_channel(rest / groups, channel, groups * outputs, y_channel, y_row) + oz * y_slice + oy * y_row;
    const float before = bias_of(channel);
    for (uint p = 0; p < PIXELS; ++p) {
      const uint ox = tile * PIXELS + p;
      if (ox >= width) break;
      const float sum = part(sums[p], o) + (first_channel > 0 ? y[at + ox * y_step] : before);
      y[at + ox * y_step] = end_channel == channels ? finished(sum, at + ox * y_step) : sum;
    }
  }
}
