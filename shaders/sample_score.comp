#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// What a chosen token adds to the sum of its sequence (engine/ops/sample_rows.cpp): its logit less the logarithm of the
// sum of the exponentials of all. A token that is forced takes the place of the chosen one and adds nothing. A workgroup a
// sequence, so that its sum does not depend on how many others there are.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample.h"
#include "functions.glsl"
#include "memory.glsl"
#include "reduce.glsl"
#include "special.glsl"

READ_F32(0, logits);
READ_I32(1, position);
READ_I32(2, options);
UPDATE_I32(3, chosen);
UPDATE_F32(4, sums);
#include "score.glsl"

void main() {
  const uint sequence = workgroup_index();
  if (sequence >= sequences) return;
  const int made = load_i32(position, sequence);
  if (made < 0) return;
  const uint lane = gl_LocalInvocationID.x;
  const uint base = sequence * vocabulary;
  float largest = load_f32(logits, base);
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) largest = max(largest, load_f32(logits, base + i));
  largest = workgroup_max(largest);
  float sum = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) sum += exponential(load_f32(logits, base + i) - largest);
  sum = workgroup_sum(sum);
  if (lane != 0) return;
  add_score(sequence, uint(made), largest + natural_log(sum));
}
