#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0 shuffle
// variant PLACES: 0 1
// variant KV: f32 f16
// without VECTOR_1 SUBGROUP_.* KV_f16: caches of f16 have heads of whole vec4s
//
// attention_prepare.comp and attention.comp in one for query rows of which none sees the newest key of another: one row of
// one head a workgroup (attention_newest.glsl). PLACES_0: a single row and its cache. PLACES_1: rows have positions of
// their own and keys that lie where `places` says.
// SUBGROUP_shuffle: a workgroup is one subgroup.
#extension GL_GOOGLE_include_directive : require
#ifdef SUBGROUP_shuffle
#extension GL_KHR_shader_subgroup_shuffle : require
#define SUBGROUP_1
#endif
layout(local_size_x_id = 0) in;
#include "constants/attention_step.h"
const uint CACHED = 1;
const uint CAUSAL = 0;  // there is no later key
#ifdef PLACES_1
const uint OWN_POSITIONS = 1;
const uint TABLED = 1;
#else
const uint OWN_POSITIONS = 0;
const uint TABLED = 0;
#endif
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

// k and v lie in rows of their own, or in those of q behind it.
#define K_ROW (k_first > 0 ? q_row : kv_heads * head_dim)
#define V_ROW (v_first > 0 ? q_row : kv_heads * value_dim)
#define NEWEST_Q(t, head, e) load_f32(q, (t) * q_row + (head) * head_dim + (e))
#define NEWEST_K(t, kv_head, e) load_f32(k, (t) * K_ROW + k_first + (kv_head) * head_dim + (e))
#define NEWEST_V(t, kv_head, e) load_f32(v, (t) * V_ROW + v_first + (kv_head) * value_dim + (e))
#include "attention_newest.glsl"

void main() {
  const uint group = workgroup_index();
#ifdef PLACES_1
  if (group >= rows * HEADS) return;
  const uint t = group / HEADS;
  const uint head = group % HEADS;
#else
  if (group >= heads) return;
  const uint t = 0;
  const uint head = group;
#endif
  attend_step(t, head);
  write_attended(t, head);
}
