// What the attention kernels share: bindings 1 to 4, which keys a query sees, and their scores (engine/ops/attention.cpp
// says what they mean).
#ifndef HEED_ATTENTION_GLSL
#define HEED_ATTENTION_GLSL
#include "constants/attention_push.h"
#include "special.glsl"

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
#if defined(SAME_read) || defined(SAME_storage)
SAME_F32X4(1, keys);
SAME_F32X4(2, values);
#else
READ_ELEMENTS(1, keys);
READ_ELEMENTS(2, values);
#endif
READ_F32(3, mask);
READ_I32(4, position);

// Of a key that is dropped. NaN is not: a broken score breaks the whole row, where it is seen.
const float kMasked = -1e30;

// Keys [x, y) that the query of row t may see, the mask aside.
uvec2 visible_keys(uint t) {
  uint end = key_rows;
  uint begin = 0;
  const uint first = CACHED == 1 ? uint(load_i32(position, 0)) : 0;
  if (CACHED == 1) end = min(end, first + rows);
  if (CAUSAL == 1) end = min(end, first + t + 1);
  if (window > 0 && first + t + 1 > window) begin = first + t + 1 - window;
  return uvec2(min(begin, end), end);
}

float finish_score(float product, uint head, uint t, uint key) {
  float score = product * scale;
  // tanh(x) by exp of a negative number, which cannot overflow.
  if (softcap > 0.0) {
    const float e = exponential(-2.0 * abs(score / softcap));
    score = softcap * sign(score) * (1.0 - e) / (1.0 + e);
  }
  if (MASKED == 1) score += load_f32(mask, (mask_heads * head * rows + t) * key_rows + key);
  return is_nan(score) || score > kMasked ? score : kMasked;
}

#endif
