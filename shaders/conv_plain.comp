#version 450
// variant ACCESS: storage texel
// variant KIND: real integer
//
// Convolution and its transpose of any shape (engine/ops/conv.cpp), one output element an invocation: 2 fetches, 8
// bytes, for 2 flops. conv.comp does better where it fits. Integers are of 32 bits, and wrap around.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv_plain.h"

#ifdef KIND_integer
#include "memory.glsl"
READ_I32(0, x);
READ_I32(1, w);
READ_I32(2, bias);
READ_I32(3, joined);
UPDATE_I32(4, y);
#define Number int
#define load load_i32
#define finished(sum, at) sum
#else
#include "conv_epilogue.glsl"
READ_F32(0, x);
READ_F32(1, w);
#define Number float
#define load load_f32
#endif

// The element of x under tap k of output o, or -1.
int element(int o, int k, int size, int stride, int dilation, int begin) {
  if (TRANSPOSED == 0) {
    const int at = o * stride - begin + k * dilation;
    return at < size ? at : -1;
  }
  const int at = o + begin - k * dilation;
  return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint plane = uint(out_size[0] * out_size[1] * out_size[2]);
  int rest = int(i % plane);
  const int o2 = rest % out_size[2];
  rest /= out_size[2];
  const int o1 = rest % out_size[1];
  const int o0 = rest / out_size[1];
  const uint row = i / plane;  // of batch and output channel
  const uint output_of_all = row % (groups * outputs);
  const uint group = output_of_all / outputs;
  const uint batch = row / (groups * outputs);
  const uint taps = uint(kernel[0] * kernel[1] * kernel[2]);

#ifdef KIND_integer
  const uint at = i;
#else
  const uint y_row = uint(out_size[2]) * BLOCK * BLOCK;
  const uint at = output_channel(batch, output_of_all, groups * outputs, plane * BLOCK * BLOCK, y_row) +
                  uint(o0 * out_size[1] + o1) * y_row + uint(o2) * BLOCK;
#endif
  Number sum = first_channel > 0 ? y[at] : HAS_BIAS == 1 ? load(bias, output_of_all) : Number(0);
  for (uint c = first_channel; c < end_channel; ++c) {
    const int x_first = int((batch * groups + group) * channels + c) * in_size[0] * in_size[1] * in_size[2];
    uint w_at = TRANSPOSED == 1 ? ((group * channels + c) * outputs + output_of_all % outputs) * taps
                                : (output_of_all * channels + c) * taps;
    for (int k0 = 0; k0 < kernel[0]; ++k0) {
      const int i0 = element(o0, k0, in_size[0], stride[0], dilation[0], begin[0]);
      for (int k1 = 0; k1 < kernel[1]; ++k1) {
        const int i1 = element(o1, k1, in_size[1], stride[1], dilation[1], begin[1]);
        for (int k2 = 0; k2 < kernel[2]; ++k2) {
          const int i2 = element(o2, k2, in_size[2], stride[2], dilation[2], begin[2]);
          if (i0 >= 0 && i1 >= 0 && i2 >= 0) sum += load(x, x_first + (i0 * in_size[1] + i1) * in_size[2] + i2) * load(w, w_at);
          ++w_at;
        }
      }
    }
  }
  y[at] = end_channel == channels ? finished(sum, at) : sum;
}
