#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
// variant KV: f32 f16
// without VECTOR_1 SUBGROUP_. KV_f16: caches of f16 have heads of whole vec4s
//
// One query row of one head a workgroup, in one pass over its keys (include/attention_pass.glsl).
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention.h"
#define ATTENTION_GENERAL
#include "memory.glsl"
#include "reduce.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32(5, y);
#include "attention_pass.glsl"

void main() {
  const uint group = workgroup_index();
  if (group >= rows * heads) return;
  const uint head = group % heads;
  const uint t = group / heads;
  const uint kv_head = head / (heads / kv_heads);
  const uint lane = gl_LocalInvocationID.x;
  const uint d = head_dim / WIDTH;

  for (uint e = lane; e < d; e += gl_WorkGroupSize.x) q_shared[e] = load(q, (t * q_row + head * head_dim) / WIDTH + e);
  barrier();

  for (uint s = 0; s < SLOTS; ++s) sums[s] = Element(0.0);
  largest = kMasked;
  total = 0.0;
  attend(visible_keys(t), head, t, kv_head);
  write_attended(t, head);
}
