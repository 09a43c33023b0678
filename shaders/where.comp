#version 450
// variant ACCESS: storage texel
//
// y[i] = c[i] != 0 ? a[i] : b[i] with broadcasting, as 32-bit words (engine/ops/where.cpp). One element an invocation; a
// stride of 0 repeats an operand along a dimension. 16 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LOOPS = 8;  // that take more than one step
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint sizes[7];  // of the inner dimensions of the result
  uint c_strides[8];
  uint a_strides[8];
  uint b_strides[8];
};

READ_I32(0, c);
READ_I32(1, a);
READ_I32(2, b);
WRITE_I32(3, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  uint rest = i;
  uint at_c = 0;
  uint at_a = 0;
  uint at_b = 0;
  for (uint loop = 0; loop < LOOPS; ++loop) {
    const uint whole = loop + 1 < LOOPS ? rest / sizes[6 - loop] : 0;
    const uint part = loop + 1 < LOOPS ? rest - whole * sizes[6 - loop] : rest;
    at_c += part * c_strides[7 - loop];
    at_a += part * a_strides[7 - loop];
    at_b += part * b_strides[7 - loop];
    rest = whole;
  }
  if (load_i32(c, at_c) != 0) {
    y[i] = load_i32(a, at_a);
  } else {
    y[i] = load_i32(b, at_b);
  }
}
