#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Mean and sum of squared distances from it of a chunk of a group (engine/ops/group_norm.cpp). A workgroup takes a chunk,
// its lanes go along it twice: 8 bytes and 4 flops an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint rows;        // groups of all batches
  uint row_length;  // elements of each
  uint chunks;      // of each
  uint chunk_length;
};

READ_F32(0, x);
WRITE_F32(1, sums);

void main() {
  const uint i = workgroup_index();
  if (i >= rows * chunks) return;
  const uint chunk = i % chunks;
  const uint base = i / chunks * row_length;
  const uint begin = chunk * chunk_length + gl_LocalInvocationID.x;
  const uint end = min(row_length, (chunk + 1) * chunk_length);
  float sum = 0.0;
  for (uint e = begin; e < end; e += gl_WorkGroupSize.x) sum += load_f32(x, base + e);
  const float mean = workgroup_sum(sum) / float(end - chunk * chunk_length);
  float squares = 0.0;
  for (uint e = begin; e < end; e += gl_WorkGroupSize.x) {
    const float distance = load_f32(x, base + e) - mean;
    squares += distance * distance;
  }
  squares = workgroup_sum(squares);
  if (gl_LocalInvocationID.x == 0) {
    sums[2 * i] = mean;
    sums[2 * i + 1] = squares;
  }
}
