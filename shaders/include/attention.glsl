// What the attention kernels share: bindings 1 to 4, which keys a query sees, and their scores (engine/ops/attention.cpp
// says what they mean).
#ifndef HEED_ATTENTION_GLSL
#define HEED_ATTENTION_GLSL
#include "constants/attention_push.h"
#include "cache.glsl"
#include "special.glsl"

const uint kAdditive = 1;
const uint kCosine = 2;
const uint kDistance = 3;

#ifdef VECTOR_4
#define Element vec4
#define load load_f32x4
#define READ_ELEMENTS READ_F32X4
const uint WIDTH = 4;
#else
#define Element float
#define load load_f32
#define READ_ELEMENTS READ_F32
const uint WIDTH = 1;
#endif
// Keys and values: as floats, or, by variant KV_f16, as a cache of f16, of which an Element is two words.
#ifdef KV_f16
#include "f16.glsl"
#define READ_KEYS SAME_U32X2
#define load_key(name, i) unpack_f16x4(load_same_u32x2(name, i))
#define WRITE_CACHE WRITE_U32
#elif defined(SAME_read) || defined(SAME_storage) || defined(SAME_shuffle)
#define READ_KEYS SAME_F32X4
#define load_key load_same_f32x4
#else
#define READ_KEYS READ_ELEMENTS
#define load_key load
#define WRITE_CACHE WRITE_F32
#endif
READ_KEYS(1, keys);
READ_KEYS(2, values);
READ_F32(3, mask);
// Of the only memory's first query, or of each (OWN_POSITIONS); or the lengths of memories (LENGTHS).
READ_I32(4, position);
#ifdef PLACES_1
READ_I32(11, places);
#endif
#if defined(ATTENTION_GENERAL) || defined(SHARED_PLACES)
READ_I32(6, places);
#endif
#ifdef ATTENTION_GENERAL
READ_ELEMENTS(7, score_weight);
#endif

// Of a key that is dropped. NaN is not: a broken score breaks the whole row, where it is seen.
const float kMasked = -1e30;

// Keys [x, y) that the query of row t may see, the mask aside.
uvec2 visible_keys(uint t) {
  uint end = key_rows;
  uint begin = 0;
  uint at = t % query_rows;
  if (CACHED == 1) {
    const uint first = uint(load_i32(position, 0));
    end = min(end, first + rows);
    at += first;
  }
  if (OWN_POSITIONS == 1) {
    const int own = load_i32(position, t);
    if (own < 0) return uvec2(0, 0);
    at = uint(own);
    end = min(key_rows, at + 1);
  }
  if (LENGTHS == 1) end = min(end, uint(max(load_i32(position, t / memory_rows), 0)));
  if (CAUSAL == 1) end = min(end, at + 1);
  if (window > 0 && at + 1 > window) begin = at + 1 - window;
  return uvec2(min(begin, end), end);
}

// tanh(x) by exp of a negative number, which cannot overflow.
float hyperbolic_tangent(float x) {
  const float e = exponential(-2.0 * abs(x));
  return sign(x) * (1.0 - e) / (1.0 + e);
}

float finish_score(float product, uint head, uint t, uint key) {
  float score = product * scale;
  if (softcap > 0.0) score = softcap * hyperbolic_tangent(score / softcap);
  if (MASKED == 1) {
    score += load_f32(mask, t / memory_rows * mask_memory + head * mask_head + t % query_rows * key_rows + key);
  }
  return is_nan(score) || score > kMasked ? score : kMasked;
}

// What a key adds of its value. A mask hides that, an infinite one too, which 0 would make NaN. So does a weight that is too
// small for a float: such a key counts as one that is not seen.
Element weighted(float weight, Element value) {
  return weight * (MASKED == 1 && weight == 0.0 ? Element(0.0) : value);
}

// The row of `keys` and `values` where a key of the query of row t lies.
uint key_place(uint t, uint key) {
#if defined(ATTENTION_GENERAL) || defined(PLACES_1)
  if (TABLED == 1) return uint(load_i32(places, key * rows + t));
#endif
#if defined(ATTENTION_GENERAL) || defined(SHARED_PLACES)
  if (TABLED == 2) return uint(load_i32(places, key));
  return t / memory_rows * key_rows + key;
#elif defined(KEY_PIECES)
  return key - piece_first;
#else
  return key;
#endif
}

// What elements of q and k add to the score of their row and key, before finish_product(). `e` counts over all heads.
Element score_term(Element q, Element k, uint e) {
#ifdef ATTENTION_GENERAL
  if (SCORE == kAdditive) {
    Element sum = q + k;
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) sum[c] = hyperbolic_tangent(sum[c]);
#else
    sum = hyperbolic_tangent(sum);
#endif
    return sum * load(score_weight, e);
  }
  if (SCORE == kDistance) return (q - k) * (q - k);
#endif
  return q * k;
}

// The sum of those terms as a score; squares of q and k are for the cosine alone.
float finish_product(float product, float q_squares, float k_squares) {
#ifdef ATTENTION_GENERAL
  if (SCORE == kCosine) return product / max(sqrt(q_squares) * sqrt(k_squares), 1.0e-8);
  if (SCORE == kDistance) return -sqrt(product);
#endif
  return product;
}

#endif
