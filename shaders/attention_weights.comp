#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
// variant KV: f32 f16
// without VECTOR_1 SUBGROUP_. KV_f16: caches of f16 have heads of whole vec4s
//
// The attention weights themselves, for those who want to see them: one row [L] of one head a workgroup, lanes are keys.
// Scores are written first and then turned into weights in place, because no length of keys bounds them.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_weights.h"
#define ATTENTION_GENERAL
#include "memory.glsl"
#include "reduce.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
UPDATE_F32(5, weights);

void main() {
  const uint group = workgroup_index();
  if (group >= rows * heads) return;
  const uint head = group % heads;
  const uint t = group / heads;
  const uint kv_head = head / (heads / kv_heads);
  const uint d = head_dim / WIDTH;
  const uint row = ((t / query_rows * heads + head) * query_rows + t % query_rows) * key_rows;
  float q_squares = 0.0;
  if (SCORE == kCosine) {
    for (uint e = 0; e < d; ++e) {
      const Element x = load(q, (t * q_row + head * head_dim) / WIDTH + e);
      q_squares += dot(x, x);
    }
  }
  const uvec2 range = visible_keys(t);

  float largest = kMasked;
  // A lane reads back only what it wrote itself, so no barrier is needed.
  for (uint i = gl_LocalInvocationID.x; i < key_rows; i += gl_WorkGroupSize.x) {
    float score = kMasked;
    if (i >= range.x && i < range.y) {
      Element product = Element(0.0);
      float k_squares = 0.0;
      const uint base = row_of_head(key_place(t, i), kv_head) * d;
      for (uint e = 0; e < d; ++e) {
        const Element k = load_key(keys, base + e);
        product += score_term(load(q, (t * q_row + head * head_dim) / WIDTH + e), k, head * d + e);
        if (SCORE == kCosine) k_squares += dot(k, k);
      }
      score = finish_score(finish_product(dot(product, Element(1.0)), q_squares, k_squares), head, t, i);
    }
    weights[row + i] = score;
    largest = max(largest, score);
  }
  largest = workgroup_max(largest);
  float total = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < key_rows; i += gl_WorkGroupSize.x) {
    const float score = weights[row + i];
    const float weight = score == kMasked ? 0.0 : exponential(score - largest);
    weights[row + i] = weight;
    total += weight;
  }
  total = workgroup_sum(total);
  const float scale_out = total == 0.0 ? 0.0 : 1.0 / total;
  for (uint i = gl_LocalInvocationID.x; i < key_rows; i += gl_WorkGroupSize.x) weights[row + i] *= scale_out;
}
