#version 450
// variant ACCESS: storage texel
// variant PLACES: 0 1 2
// variant KV: f32 f16
//
// Before attention with a cache (engine/ops/attention.cpp): q is turned by its position and stored apart (heads = 0: it
// is not), k is turned and stored in row position + t of the key cache, or where `places` says, v is stored in that row of
// the value cache. PLACES_1 turns nothing, and has no more bindings than every device allows. One
// invocation a pair of elements: one that is turned together, or, where caches are f16, a word of the cache. Rows past the
// cache's end, or outside of the piece of it that is bound, are dropped.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_prepare.h"
const uint CACHED = 1;
#include "cache.glsl"
#include "memory.glsl"
#include "rotary.glsl"
#ifdef KV_f16
#include "f16.glsl"
#define WRITE_CACHE WRITE_U32
#else
#define WRITE_CACHE WRITE_F32
#endif

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
WRITE_CACHE(6, cache_k);
WRITE_CACHE(7, cache_v);
#ifdef PLACES_2
READ_I32(8, places);
#endif

// Elements of a pair of a head of k that begins at `from`, turned by the position.
vec2 turned_k(uint from, uint pair, uint at) {
  const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const vec2 x = vec2(load_f32(k, from + e.x), e.y < head_dim ? load_f32(k, from + e.y) : 0.0);
#ifdef PLACES_1
  return x;
#else
  return pair < dims / 2 ? rotary_multiply(x, rotary_turn(table, dims / 2, at, pair)) : x;
#endif
}

// Elements 2 word and 2 word + 1 of the same, which layout `half` turns with others: in pairs of their own.
vec2 turned_word(uint from, uint word, uint at) {
  const uint pairs = dims / 2;
  vec2 elements;
  for (uint c = 0; c < 2; ++c) {
    const uint e = 2 * word + c;
    const bool apart = HALF_SPLIT == 1 && e < dims;
    const vec2 pair = turned_k(from, apart ? e % pairs : word, at);
    elements[c] = (apart ? e < pairs : c == 0) ? pair.x : pair.y;
  }
  return elements;
}

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
  const uint at_row = uint(own) < positions ? uint(load_i32(places, uint(own) * table_columns + min(t, table_columns - 1))) : cache_rows;
#else
  const uint at_row = uint(own) - cache_first;  // of rows before the piece a large number
#endif

  if (rest >= q_pairs + k_pairs) {
    rest -= q_pairs + k_pairs;
    if (at_row >= cache_rows) return;
    const uint head = rest / value_pairs;
#ifdef KV_f16
    const uint from = t * v_row + v_first + head * value_dim + 2 * (rest % value_pairs);
    cache_v[row_of_head(at_row, head) * value_pairs + rest % value_pairs] =
        pack_f16(vec2(load_f32(v, from), load_f32(v, from + 1)));
#else
    for (uint e = 2 * (rest % value_pairs); e < min(2 * (rest % value_pairs) + 2, value_dim); ++e) {
      cache_v[row_of_head(at_row, head) * value_dim + e] =
          load_f32(v, t * v_row + v_first + head * value_dim + e);
    }
#endif
    return;
  }

  const bool is_q = rest < q_pairs;
  if (!is_q) rest -= q_pairs;
  if (!is_q && at_row >= cache_rows) return;
  const uint head = rest / head_pairs;
  const uint pair = rest % head_pairs;
  const uvec2 at = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const bool whole = at.y < head_dim;  // false for an odd head's last element
  if (is_q) {
    const uint from = t * q_row + head * head_dim;
    vec2 x = vec2(load_f32(q, from + at.x), whole ? load_f32(q, from + at.y) : 0.0);
#ifndef PLACES_1
    if (pair < dims / 2) x = rotary_multiply(x, rotary_turn(table, dims / 2, uint(own), pair));
#endif
    const uint to = (t * heads + head) * head_dim;
    q_turned[to + at.x] = x.x;
    if (whole) q_turned[to + at.y] = x.y;
    return;
  }
  const uint from = t * k_row + k_first + head * head_dim;
#ifdef KV_f16
  cache_k[row_of_head(at_row, head) * head_pairs + pair] = pack_f16(turned_word(from, pair, uint(own)));
#else
  const vec2 x = turned_k(from, pair, uint(own));
  const uint to = row_of_head(at_row, head) * head_dim;
  cache_k[to + at.x] = x.x;
  if (whole) cache_k[to + at.y] = x.y;
#endif
}
