#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
// variant KV: f32 f16
// without VECTOR_1 SUBGROUP_. KV_f16: caches of f16 have heads of whole vec4s
//
// attention_prepare.comp and attention.comp in one for a single query row with a cache: one head a workgroup
// (attention_newest.glsl).
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_step.h"
const uint CACHED = 1;
const uint CAUSAL = 0;  // there is no later key
const uint OWN_POSITIONS = 0;
const uint LENGTHS = 0;
const uint SCORE = 0;
#include "memory.glsl"
#include "reduce.glsl"
#include "rotary.glsl"
#include "attention.glsl"

WRITE_F32(5, y);
READ_F32(0, q);
READ_F32(6, k);
READ_F32(7, v);
READ_F32(8, table);
WRITE_CACHE(9, cache_k);
WRITE_CACHE(10, cache_v);
#include "attention_pass.glsl"

#define NEWEST_Q(head, e) load_f32(q, (head) * head_dim + (e))
#define NEWEST_K(kv_head, e) load_f32(k, k_first + (kv_head) * head_dim + (e))
#define NEWEST_V(kv_head, e) load_f32(v, v_first + (kv_head) * value_dim + (e))
#include "attention_newest.glsl"

void main() {
  const uint head = workgroup_index();
  if (head >= heads) return;
  attend_step(head);
  write_attended(0, head);
}
