#version 450
// variant ACCESS: storage texel
// variant OUTPUTS: 4 1
//
// Convolution (engine/ops/conv_tiles.cpp). A lane owns PIXELS neighbours of a row of the output and OUTPUTS channels in
// registers. For each channel and row of the kernel it fetches what its pixels need of a row of x in vec4s, padding
// included, and KERNEL words of weights: with a 3x3 kernel and 8 pixels 3 to 4 fetches and 3 for 192 flops. Lanes go
// through the output channels first, so that neighbours read the same x and neighbouring weights.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv.h"
#include "conv_epilogue.glsl"

READ_F32X4(0, x);
#ifdef OUTPUTS_4
READ_F32X4(1, w);
#define Sum vec4
#define load_weight load_f32x4
const uint OUTPUTS = 4;
#define part(sum, o) sum[o]
#else
READ_F32(1, w);
#define Sum float
#define load_weight load_f32
const uint OUTPUTS = 1;
#define part(sum, o) sum
#endif

const uint WORDS = (SHIFT + (PIXELS - 1) * STRIDE + (KERNEL - 1) * DILATION) / 4 + 1;

// Adds what ROWS rows of x give. All fetches come first: CPU drivers call a function for each, and what is alive then is
// spilled.
void add_rows(uint x_at, uint w_at, inout Sum sums[PIXELS]) {
  vec4 xs[ROWS * WORDS];
  Sum ws[ROWS * KERNEL];
  for (uint r = 0; r < ROWS; ++r) {
    for (uint v = 0; v < WORDS; ++v) xs[r * WORDS + v] = load_f32x4(x, x_at + r * word_step + v);
  }
  for (uint k = 0; k < ROWS * KERNEL; ++k) ws[k] = load_weight(w, w_at + k * blocks);
  for (uint r = 0; r < ROWS; ++r) {
    for (uint k = 0; k < KERNEL; ++k) {
      for (uint p = 0; p < PIXELS; ++p) {
        const uint e = SHIFT + p * STRIDE + k * DILATION;
        sums[p] += ws[r * KERNEL + k] * xs[r * WORDS + e / 4][e % 4];
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

  const uint channel_words = row_words * rows * slices;
  uint x_channel = x_first + (rest * channels + first_channel) * channel_words +
                   (oz * stride_z * rows + oy * stride_y) * row_words + tile * (PIXELS * STRIDE / 4);
  uint w_channel = (group * channels + first_channel) * weight_step + block;
  for (uint c = first_channel; c < end_channel; c += channel_step) {
    if (DEEP == 0) {
      add_rows(x_channel, w_channel, sums);
    } else {
      uint w_at = w_channel;
      for (uint kz = 0; kz < kernel_z; ++kz) {
        for (uint ky = 0; ky < kernel_y; ++ky) {
          add_rows(x_channel + kz * z_step_words + ky * y_step_words, w_at, sums);
          w_at += ROWS * KERNEL * blocks;
        }
      }
    }
    x_channel += channel_step * channel_words;
    w_channel += channel_step * weight_step;
  }

  for (uint o = 0; o < OUTPUTS; ++o) {
    const uint n = block * OUTPUTS + o;
    if (n >= outputs) break;
    const uint channel = group * outputs + n;
    const uint at = y_first + output_channel(rest / groups, channel, groups * outputs, y_channel, y_row) +
                    oz * y_slice + oy * y_row;
    const float before = bias_of(channel);
    for (uint p = 0; p < PIXELS; ++p) {
      const uint ox = tile * PIXELS + p;
      if (ox >= width) break;
      const float sum = part(sums[p], o) + (first_channel > 0 ? y[at + ox * y_step] : before);
      y[at + ox * y_step] = end_channel == channels ? finished(sum, at + ox * y_step) : sum;
    }
  }
}
