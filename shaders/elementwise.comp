#version 450
// variant ACCESS: storage texel
//
// y = f(a) or f(a, b) with broadcasting (engine/ops/elementwise.cpp numbers the functions). One element an invocation;
// a stride of 0 repeats an operand along a dimension.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint FUNCTION = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;
#include "memory.glsl"
#include "activation.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint size1, size2, size3;  // of the three inner dimensions of the result
  uint a0, a1, a2, a3;       // strides
  uint b0, b1, b2, b3;
};

READ_F32(0, a);
READ_F32(1, b);
WRITE_F32(2, y);

float apply(float x, float z) {
  switch (FUNCTION) {
    case 0: return activate(kSilu, x);
    case 1: return activate(kGelu, x);
    case 2: return activate(kGeluTanh, x);
    case 3: return activate(kRelu, x);
    case 4: return activate(kTanh, x);
    case 5: return activate(kSigmoid, x);
    case 6: return exp(x);
    case 7: return -x;
    case 8: return sqrt(x);
    case 9: return x + z;
    case 10: return x - z;
    case 11: return x * z;
    case 12: return x / z;
    case 13: return max(x, z);
    case 14: return min(x, z);
    default: return activate(ACTIVATION, x) * z;
  }
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint i3 = i % size3;
  const uint i2 = i / size3 % size2;
  const uint i1 = i / (size3 * size2) % size1;
  const uint i0 = i / (size3 * size2 * size1);
  y[i] = apply(load_f32(a, i0 * a0 + i1 * a1 + i2 * a2 + i3 * a3),
               FUNCTION < 9 ? 0.0 : load_f32(b, i0 * b0 + i1 * b1 + i2 * b2 + i3 * b3));
}
