#version 450
// variant ACCESS: storage texel
// variant PLACES: 0 1 2
//
// Before attention with a cache (engine/ops/attention.cpp): q is turned by its position and stored apart (heads = 0: it
// is not), k is turned and stored in row position + t of the key cache, or where `places` says, v is stored in that row of
// the value cache. PLACES_1 turns nothing, and has no more bindings than every device allows. One
// invocation a pair of elements. Rows past the cache's end are dropped.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_prepare.h"
#include "memory.glsl"
#include "rotary.glsl"

READ_F32(0, q);
READ_F32(1, k);
READ_F32(2, v);
READ_I32(3, position);
#ifdef PLACES_1
READ_I32(4, places);
#else
READ_F32(4, table);
#endif
WRITE_F32(5, q_turned);
WRITE_F32(6, cache_k);
WRITE_F32(7, cache_v);
#ifdef PLACES_2
READ_I32(8, places);
#endif

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint head_pairs = (head_dim + 1) / 2;
  const uint value_pairs = (value_dim + 1) / 2;
  const uint q_pairs = heads * head_pairs;
  const uint k_pairs = kv_heads * head_pairs;
  const uint row_pairs = q_pairs + k_pairs + kv_heads * value_pairs;
  if (i >= rows * row_pairs) return;
  const uint t = i / row_pairs;
  uint rest = i % row_pairs;
  const int own = OWN_POSITIONS == 1 ? load_i32(position, t) : load_i32(position, 0) + int(t);
  if (own < 0) return;  // the row is padding
#ifndef PLACES_0
  const uint at_row = uint(own) < positions ? uint(load_i32(places, uint(own) * rows + t)) : cache_rows;
#else
  const uint at_row = uint(own);
#endif

  if (rest >= q_pairs + k_pairs) {
    rest -= q_pairs + k_pairs;
    if (at_row >= cache_rows) return;
    const uint head = rest / value_pairs;
    for (uint e = 2 * (rest % value_pairs); e < min(2 * (rest % value_pairs) + 2, value_dim); ++e) {
      cache_v[at_row * kv_heads * value_dim + head * value_dim + e] =
          load_f32(v, t * v_row + v_first + head * value_dim + e);
    }
    return;
  }

  const bool is_q = rest < q_pairs;
  if (!is_q) rest -= q_pairs;
  if (!is_q && at_row >= cache_rows) return;
  const uint head = rest / head_pairs;
  const uint pair = rest % head_pairs;
  const uvec2 at = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const bool whole = at.y < head_dim;  // false for an odd head's last element
  const uint from = (is_q ? t * q_row : t * k_row + k_first) + head * head_dim;
  vec2 x;
  if (is_q) {
    x = vec2(load_f32(q, from + at.x), whole ? load_f32(q, from + at.y) : 0.0);
  } else {
    x = vec2(load_f32(k, from + at.x), whole ? load_f32(k, from + at.y) : 0.0);
  }
#ifndef PLACES_1
  if (pair < dims / 2) x = rotary_multiply(x, rotary_turn(table, dims / 2, uint(own), pair));
#endif
  if (is_q) {
    const uint to = (t * heads + head) * head_dim;
    q_turned[to + at.x] = x.x;
    if (whole) q_turned[to + at.y] = x.y;
  } else {
    const uint to = at_row * kv_heads * head_dim + head * head_dim;
    cache_k[to + at.x] = x.x;
    if (whole) cache_k[to + at.y] = x.y;
  }
}
