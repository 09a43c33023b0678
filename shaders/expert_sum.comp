#version 450
// variant ACCESS: storage texel
//
// y[t, n] = residual[t, n] + sum_j weights[t, j] x[t, j, n] (engine/ops/expert_sum.cpp). One element an invocation; sums
// go from the first expert to the last. 4 (CHOSEN + 2) bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CHOSEN = 1;
layout(constant_id = 2) const uint HAS_RESIDUAL = 0;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint width;
};

READ_F32(0, x);
READ_F32(1, weights);
READ_F32(2, residual);
WRITE_F32(3, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint t = i / width;
  float sum = HAS_RESIDUAL == 1 ? load_f32(residual, i) : 0.0;
  for (uint j = 0; j < CHOSEN; ++j) {
    sum = fma(load_f32(weights, t * CHOSEN + j), load_f32(x, (t * CHOSEN + j) * width + i % width), sum);
  }
  y[i] = sum;
}
