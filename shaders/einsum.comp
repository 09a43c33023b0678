#version 450
// variant ACCESS: storage texel
//
// y[o] = sum_k a[o, k] b[o, k] (engine/ops/einsum.cpp) where few outputs share elements of a and b; nested loops say where
// the elements of an output begin, and where they lie. One output an invocation; sums are made of sums of up to 32.
// 8 bytes for 2 flops.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint length;  // of the sum
  uint sizes[5];
  uint a_strides[6];
  uint b_strides[6];
  uint sum_sizes[3];
  uint sum_a_strides[4];
  uint sum_b_strides[4];
};

READ_F32(0, a);
READ_F32(1, b);
WRITE_F32(2, y);

void main() {
  const uint o = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (o >= count) return;
  uint a_base = 0;
  uint b_base = 0;
  uint rest = o;
  for (uint loop = 0; loop < 5; ++loop) {
    const uint whole = rest / sizes[4 - loop];
    const uint part = rest - whole * sizes[4 - loop];
    a_base += part * a_strides[5 - loop];
    b_base += part * b_strides[5 - loop];
    rest = whole;
  }
  a_base += rest * a_strides[0];
  b_base += rest * b_strides[0];
  float total = 0.0;
  for (uint first = 0; first < length; first += 32) {
    float sum = 0.0;
    const uint end = min(first + 32, length);
    for (uint j = first; j < end; ++j) {
      uint at_a = a_base;
      uint at_b = b_base;
      uint left = j;
      for (uint loop = 0; loop < 3; ++loop) {
        const uint whole = left / sum_sizes[2 - loop];
        const uint part = left - whole * sum_sizes[2 - loop];
        at_a += part * sum_a_strides[3 - loop];
        at_b += part * sum_b_strides[3 - loop];
        left = whole;
      }
      at_a += left * sum_a_strides[0];
      at_b += left * sum_b_strides[0];
      sum = fma(load_f32(a, at_a), load_f32(b, at_b), sum);
    }
    total += sum;
  }
  y[o] = total;
}
