#version 450
// variant ACCESS: storage texel
// variant PLACES: 0 1 2
// variant KV: f32 f16
// variant VECTOR: 4 1
//
// Before attention with a cache (engine/ops/attention.cpp): q is turned by its position and stored apart (heads = 0: it
// is not), k is turned and stored in row position + t of the key cache, or where `places` says, v is stored in that row of
// the value cache. PLACES_1 turns nothing, and has no more bindings than every device allows. Rows past the cache's end, or
// outside of the piece of it that is bound, are dropped.
//
// An invocation has PAIRS pairs of a head: elements that rotary turns together, and neighbours where it turns nothing; but
// one word of the cache with VECTOR_1 and caches of f16. With VECTOR_4 these are two vec4s.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_prepare.h"
const uint CACHED = 1;
#include "cache.glsl"
#include "memory.glsl"
#include "rotary.glsl"
#ifdef KV_f16
#include "f16.glsl"
#endif

#ifdef VECTOR_4
const uint PAIRS = 4;
#define READ READ_F32X4
#define WRITE WRITE_F32X4
#ifdef KV_f16
#define WRITE_CACHE WRITE_U32X2
#define cached(x) pack_f16x4(x)
#else
#define WRITE_CACHE WRITE_F32X4
#define cached(x) x
#endif
#else
const uint PAIRS = 1;
#define READ READ_F32
#define WRITE WRITE_F32
#ifdef KV_f16
#define WRITE_CACHE WRITE_U32
#else
#define WRITE_CACHE WRITE_F32
#endif
#endif

READ(0, q);
READ(1, k);
READ(2, v);
READ_I32(3, position);
#ifdef PLACES_1
READ_I32(4, places);
#else
READ(4, table);
#endif
WRITE(5, q_turned);
WRITE_CACHE(6, cache_k);
WRITE_CACHE(7, cache_v);
#ifdef PLACES_2
READ_I32(8, places);
#endif

#ifdef VECTOR_4
// Where an invocation's two vec4s begin in a head. Those of the next one lie beside them: half of what is turned apart, or
// of what is not, which layout `half` asks for, and which lets neighbours read and write memory in one piece.
uvec2 elements_of(uint unit) {
  const bool turned = 8 * unit < dims;
  const uint first = turned ? 4 * unit : dims + (8 * unit - dims) / 2;
  return uvec2(first, first + (turned ? dims : head_dim - dims) / 2);
}

#ifndef PLACES_1
// Cosines and sines of their pairs in a row of the table: four in a row, or two of each vec4.
void load_turns(uint row, uint unit, out vec4 cosines, out vec4 sines) {
  const uint begin = row * dims / 4 + (HALF_SPLIT == 1 ? 2 * unit : unit);
  const vec4 low = load_f32x4(table, begin);
  const vec4 high = load_f32x4(table, begin + (HALF_SPLIT == 1 ? 1 : dims / 8));
  cosines = vec4(low.xz, high.xz);
  sines = vec4(low.yw, high.yw);
}
#endif

// Turns those elements, which lie at elements_of(unit), by a position.
void turn(inout vec4 a, inout vec4 b, uint unit, uint at) {
#ifndef PLACES_1
  if (8 * unit >= dims) return;
  vec4 cosines, sines, coarse_cosines, coarse_sines;
  load_turns(at & 255u, unit, cosines, sines);
  load_turns(256u + (at >> 8), unit, coarse_cosines, coarse_sines);
  rotary_multiply4(cosines, sines, coarse_cosines, coarse_sines);
  if (HALF_SPLIT == 1) {
    rotary_multiply4(a, b, cosines, sines);
    return;
  }
  vec4 x = vec4(a.xz, b.xz);
  vec4 y = vec4(a.yw, b.yw);
  rotary_multiply4(x, y, cosines, sines);
  a = vec4(x.x, y.x, x.y, y.y);
  b = vec4(x.z, y.z, x.w, y.w);
#endif
}

void prepare_q(uint from, uint to, uint unit, uint at) {
  const uvec2 e = elements_of(unit);
  vec4 a = load_f32x4(q, (from + e.x) / 4);
  vec4 b = load_f32x4(q, (from + e.y) / 4);
  turn(a, b, unit, at);
  q_turned[(to + e.x) / 4] = a;
  q_turned[(to + e.y) / 4] = b;
}

void prepare_k(uint from, uint to, uint unit, uint at) {
  const uvec2 e = elements_of(unit);
  vec4 a = load_f32x4(k, (from + e.x) / 4);
  vec4 b = load_f32x4(k, (from + e.y) / 4);
  turn(a, b, unit, at);
  cache_k[(to + e.x) / 4] = cached(a);
  cache_k[(to + e.y) / 4] = cached(b);
}

void prepare_v(uint from, uint to, uint unit) {
  for (uint i = unit; i < value_dim / 4; i += value_dim / 8) cache_v[to / 4 + i] = cached(load_f32x4(v, from / 4 + i));
}
#else
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

void prepare_q(uint from, uint to, uint pair, uint at) {
  const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const bool whole = e.y < head_dim;  // false for an odd head's last element
  vec2 x = vec2(load_f32(q, from + e.x), whole ? load_f32(q, from + e.y) : 0.0);
#ifndef PLACES_1
  if (pair < dims / 2) x = rotary_multiply(x, rotary_turn(table, dims / 2, at, pair));
#endif
  q_turned[to + e.x] = x.x;
  if (whole) q_turned[to + e.y] = x.y;
}

void prepare_k(uint from, uint to, uint pair, uint at) {
#ifdef KV_f16
  cache_k[to / 2 + pair] = pack_f16(turned_word(from, pair, at));
#else
  const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const vec2 x = turned_k(from, pair, at);
  cache_k[to + e.x] = x.x;
  if (e.y < head_dim) cache_k[to + e.y] = x.y;
#endif
}

void prepare_v(uint from, uint to, uint pair) {
#ifdef KV_f16
  cache_v[to / 2 + pair] = pack_f16(vec2(load_f32(v, from + 2 * pair), load_f32(v, from + 2 * pair + 1)));
#else
  for (uint e = 2 * pair; e < min(2 * pair + 2, value_dim); ++e) cache_v[to + e] = load_f32(v, from + e);
#endif
}
#endif

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint head_units = (head_dim + 2 * PAIRS - 1) / (2 * PAIRS);
  const uint value_units = (value_dim + 2 * PAIRS - 1) / (2 * PAIRS);
  const uint q_units = heads * head_units;
  const uint k_units = kv_heads * head_units;
  const uint row_units = q_units + k_units + kv_heads * value_units;
  if (i >= rows * row_units) return;
  const uint t = i / row_units;
  uint rest = i % row_units;
  const int own = OWN_POSITIONS == 1 ? load_i32(position, t) : load_i32(position, 0) + int(t);
  if (own < 0) return;  // the row is padding
  if (rest < q_units) {
    const uint head = rest / head_units;
    prepare_q(t * q_row + head * head_dim, (t * heads + head) * head_dim, rest % head_units, uint(own));
    return;
  }

#ifndef PLACES_0
  const uint at_row = uint(own) < positions ? uint(load_i32(places, uint(own) * table_columns + min(t, table_columns - 1))) : cache_rows;
#else
  const uint at_row = uint(own) - cache_first;  // of rows before the piece a large number
#endif
  if (at_row >= cache_rows) return;
  rest -= q_units;
  if (rest < k_units) {
    const uint head = rest / head_units;
    prepare_k(t * k_row + k_first + head * head_dim, row_of_head(at_row, head) * head_dim, rest % head_units, uint(own));
    return;
  }
  rest -= k_units;
  const uint head = rest / value_units;
  prepare_v(t * v_row + v_first + head * value_dim, row_of_head(at_row, head) * value_dim, rest % value_units);
}
