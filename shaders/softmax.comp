#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Softmax over one dimension (engine/ops/softmax.cpp). A workgroup takes one row of `length` elements that lie `inner`
// apart, its lanes go along it three times: maximum, sum, result.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint rows;
  uint length;
  uint inner;
};

READ_F32(0, x);
WRITE_F32(1, y);

void main() {
  const uint row = workgroup_index();
  if (row >= rows) return;
  const uint base = row / inner * length * inner + row % inner;
  const uint lane = gl_LocalInvocationID.x;
  // A lane without elements repeats the first one.
  float largest = load_f32(x, base);
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) largest = max(largest, load_f32(x, base + i * inner));
  largest = workgroup_max(largest);
  float sum = 0.0;
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) sum += exp(load_f32(x, base + i * inner) - largest);
  const float scale = 1.0 / workgroup_sum(sum);
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) {
    y[base + i * inner] = exp(load_f32(x, base + i * inner) - largest) * scale;
  }
}
