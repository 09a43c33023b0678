#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// attention_prepare.comp and attention.comp in one for a single query row with a cache: one head a workgroup. The newest
// key and value come from k and v and begin the online softmax; those before it come from the cache. The first head of
// those that share a key/value head writes the newest ones to the cache, from where nobody reads them in this dispatch.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint MASKED = 0;
layout(constant_id = 2) const uint TILE = 128;    // keys scored at a time
layout(constant_id = 3) const uint SLOTS = 1;     // elements of the value row a lane owns
layout(constant_id = 4) const uint Q_LENGTH = 1;  // elements of a head of q and k
layout(constant_id = 5) const uint HALF_SPLIT = 0;
const uint CACHED = 1;
const uint CAUSAL = 0;  // there is no later key
#include "memory.glsl"
#include "reduce.glsl"
#include "rotary.glsl"
#include "attention.glsl"

WRITE_F32(5, y);
READ_F32(0, q);
READ_F32(6, k);
READ_F32(7, v);
READ_F32(8, table);
WRITE_F32(9, cache_k);
WRITE_F32(10, cache_v);
#include "attention_pass.glsl"

shared Element k_shared[Q_LENGTH];

#ifdef VECTOR_4
#define SET(array, e, value) array[(e) / 4][(e) % 4] = value
#else
#define SET(array, e, value) array[e] = value
#endif

void main() {
  const uint head = workgroup_index();
  if (head >= heads) return;
  const uint group_heads = heads / kv_heads;
  const uint kv_head = head / group_heads;
  const uint lane = gl_LocalInvocationID.x;
  const uint d = head_dim / WIDTH;
  const uint dv = value_dim / WIDTH;
  const uint at = uint(load_i32(position, 0));
  const bool writes = head % group_heads == 0 && at < key_rows;
  const uint cache_at = at * kv_heads + kv_head;

  for (uint pair = lane; pair < (head_dim + 1) / 2; pair += gl_WorkGroupSize.x) {
    const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
    const bool whole = e.y < head_dim;  // false for an odd head's last element
    const uint q_at = head * head_dim;
    const uint k_at = k_first + kv_head * head_dim;
    vec2 own_q = vec2(load_f32(q, q_at + e.x), whole ? load_f32(q, q_at + e.y) : 0.0);
    vec2 own_k = vec2(load_f32(k, k_at + e.x), whole ? load_f32(k, k_at + e.y) : 0.0);
    if (pair < dims / 2) {
      const vec2 turn = rotary_turn(table, dims / 2, at, pair);
      own_q = rotary_multiply(own_q, turn);
      own_k = rotary_multiply(own_k, turn);
    }
    SET(q_shared, e.x, own_q.x);
    SET(k_shared, e.x, own_k.x);
    if (whole) {
      SET(q_shared, e.y, own_q.y);
      SET(k_shared, e.y, own_k.y);
    }
    if (writes) {
      cache_k[cache_at * head_dim + e.x] = own_k.x;
      if (whole) cache_k[cache_at * head_dim + e.y] = own_k.y;
    }
  }
  barrier();

  Element product = Element(0.0);
  for (uint e = lane; e < d; e += gl_WorkGroupSize.x) product += q_shared[e] * k_shared[e];
  const float newest = finish_score(workgroup_sum(dot(product, Element(1.0))), head, 0, min(at, key_rows - 1));
  const bool sees_newest = newest > kMasked && at < key_rows;
  largest = sees_newest ? newest : kMasked;
  total = sees_newest ? 1.0 : 0.0;
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + lane;
    sums[s] = Element(0.0);
    if (e >= dv) break;
    for (uint c = 0; c < WIDTH; ++c) {
      const uint element = e * WIDTH + c;
      const float value = load_f32(v, v_first + kv_head * value_dim + element);
      if (writes) cache_v[cache_at * value_dim + element] = value;
#ifdef VECTOR_4
      if (sees_newest) sums[s][c] = value;
#else
      if (sees_newest) sums[s] = value;
#endif
    }
  }

  uvec2 range = visible_keys(0);
  range.y = min(range.y, at);
  attend(range, head, 0, kv_head);
  write_attended(0, head);
}
