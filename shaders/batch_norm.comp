#version 450
// variant ACCESS: storage texel
//
// y = (x - mean) / sqrt(variance + eps) * scale + bias, all by channel (engine/ops/batch_norm.cpp). One element an
// invocation; what belongs to the channel is read again for each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint channels;
  uint inner;  // elements of a channel
  float eps;
};

READ_F32(0, x);
READ_F32(1, scale);
READ_F32(2, bias);
READ_F32(3, mean);
READ_F32(4, variance);
WRITE_F32(5, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint c = i / inner % channels;
  const float factor = load_f32(scale, c) * inversesqrt(load_f32(variance, c) + eps);
  y[i] = (load_f32(x, i) - load_f32(mean, c)) * factor + load_f32(bias, c);
}
