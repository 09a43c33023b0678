#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// y = (x - mean) / sqrt(variance + eps) * scale + bias of a chunk of a group, from what group_norm_sums.comp says of its
// chunks: their squared distances are from their own means (Chan, Golub and LeVeque 1983). A workgroup takes a chunk, its
// lanes go along it once: 8 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HAS_SCALE = 0;
layout(constant_id = 2) const uint HAS_BIAS = 0;
#include "memory.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint rows;        // groups of all batches
  uint row_length;  // elements of each
  uint chunks;      // of each
  uint chunk_length;
  uint groups;
  uint channels;  // of a group
  uint inner;     // elements of a channel
  float eps;
};

READ_F32(0, x);
READ_F32(1, sums);
READ_F32(2, scale);
READ_F32(3, bias);
WRITE_F32(4, y);

float length_of(uint chunk) { return float(min(row_length, (chunk + 1) * chunk_length) - chunk * chunk_length); }

void main() {
  const uint i = workgroup_index();
  if (i >= rows * chunks) return;
  const uint row = i / chunks;
  const uint lane = gl_LocalInvocationID.x;
  float sum = 0.0;
  for (uint c = lane; c < chunks; c += gl_WorkGroupSize.x) {
    sum += length_of(c) * load_f32(sums, 2 * (row * chunks + c));
  }
  const float mean = workgroup_sum(sum) / float(row_length);
  float squares = 0.0;
  for (uint c = lane; c < chunks; c += gl_WorkGroupSize.x) {
    const float distance = load_f32(sums, 2 * (row * chunks + c)) - mean;
    squares += load_f32(sums, 2 * (row * chunks + c) + 1) + length_of(c) * distance * distance;
  }
  const float factor = inversesqrt(workgroup_sum(squares) / float(row_length) + eps);

  const uint chunk = i % chunks;
  const uint end = min(row_length, (chunk + 1) * chunk_length);
  for (uint e = chunk * chunk_length + lane; e < end; e += gl_WorkGroupSize.x) {
    const uint channel = row % groups * channels + e / inner;
    float value = (load_f32(x, row * row_length + e) - mean) * factor;
    if (HAS_SCALE == 1) value *= load_f32(scale, channel);
    if (HAS_BIAS == 1) value += load_f32(bias, channel);
    y[row * row_length + e] = value;
  }
}
