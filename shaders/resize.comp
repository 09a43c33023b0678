#version 450
// variant ACCESS: storage texel
// variant KIND: sum copy
//
// One dimension of x resized: element o of it is the sum over t < taps of weight[o, t] x[index[o, t]], or `outside` where
// an index is -1 (engine/ops/resize_table.h). One element an invocation: 12 bytes and 2 flops a tap. KIND copy has one
// tap of weight 1, of words of any type.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint in_size, out_size;
  uint inner;  // elements of the dimensions inside
  uint taps;
  int outside;  // the bits of it
};

READ_I32(1, index);
#ifdef KIND_sum
READ_F32(0, x);
READ_F32(2, weight);
WRITE_F32(3, y);
#else
READ_I32(0, x);
WRITE_I32(3, y);
#endif

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint row = i / inner;
  const uint o = row % out_size;
  const uint first = row / out_size * in_size * inner + i % inner;
#ifdef KIND_sum
  float sum = 0.0;
  for (uint t = 0; t < taps; ++t) {
    const int at = load_i32(index, o * taps + t);
    if (at < 0) {
      sum = intBitsToFloat(outside);
      break;
    }
    sum += load_f32(weight, o * taps + t) * load_f32(x, first + uint(at) * inner);
  }
  y[i] = sum;
#else
  const int at = load_i32(index, o);
  y[i] = at < 0 ? outside : load_i32(x, first + uint(at) * inner);
#endif
}
