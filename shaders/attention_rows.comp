#version 450
// variant ACCESS: storage texel
// variant SAME: read storage shuffle
// variant KV: f32 f16
//
// Attention for many query rows: a lane owns a query row of a head and goes along the keys alone, so that a key is read once
// for all lanes, nothing is summed across them and nothing waits (online softmax, Milakov and Gimelshein 2018). Heads are
// whole vec4s; q and the sums stay in registers, so the head's size is a constant. Keys come KEYS at a time, for one new
// maximum each. Of a key a workgroup reads d + dv elements, and its lanes do 2 (d + dv) flops each. All lanes fetch all of
// that, or a part of it each, which is handed on (hand_on.glsl).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
#include "constants/attention_rows.h"
#define VECTOR_4
#define SHARED_PLACES
#include "memory.glsl"
#include "attention.glsl"
#include "hand_on.glsl"

READ_ELEMENTS(0, q);
WRITE_F32(5, y);

// The head's row of the i-th key, which lies in `place` where a table says so. A tile of keys lies in one block of the cache.
#define ROW(place, i) (TABLED == 2 ? row_of_head(place, kv_head) : tile_row + min(i, end - 1 - key) * key_step)
#ifdef SAME_shuffle
// Declares `held`: of KEYS keys, or values, in `name`, each `length` vec4s, those that a lane fetches.
#define HOLD(name, length)                                                                   \
  vec4 held[HELD(KEYS * (length))];                                                          \
  [[unroll]] for (uint h = 0; h < HELD(KEYS * (length)); ++h) {                              \
    const uint word = min(h * HOLDERS + holder, KEYS * (length) - 1);                        \
    const uint of_key = word / (length);                                                     \
    const uint place = TABLED == 2 ? uint(load_i32(places, min(key + of_key, end - 1))) : 0; \
    held[h] = load_key(name, ROW(place, of_key) * (length) + word % (length));               \
  }
#define KEY_WORD(name, length, i, e) HANDED_ON(held, (i) * (length) + (e))
#define UNROLL [[unroll]]
#else
#define HOLD(name, length)
#define KEY_WORD(name, length, i, e) load_key(name, ROW(said[i], i) * (length) + (e))
#define UNROLL
#endif

void main() {
  const uint group = workgroup_index();
  const uint blocks = (memory_rows + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
  const uint memories = rows / memory_rows;
  const uint head = group / (blocks * memories);
  if (head >= heads) return;
  const uint memory = group / blocks % memories;
  const uint first_row = memory * memory_rows + group % blocks * gl_WorkGroupSize.x;
  const uint end_row = (memory + 1) * memory_rows;
  const uint first_key = memory * key_rows;
  const uint kv_head = head / (heads / kv_heads);

  const uint own = first_row + gl_LocalInvocationID.x;
  const uint t = min(own, end_row - 1);  // rows past the end repeat the last one and are not written
  const uvec2 range = visible_keys(t);
  vec4 query[Q_LENGTH];
  UNROLL for (uint e = 0; e < Q_LENGTH; ++e) query[e] = load(q, t * (q_row / 4) + head * Q_LENGTH + e);
  vec4 sums[V_LENGTH];
  UNROLL for (uint e = 0; e < V_LENGTH; ++e) sums[e] = vec4(0.0);
  float largest = kMasked;
  float total = 0.0;

  // Every lane goes through the keys that any lane sees.
  const uint last_row = min(first_row + gl_WorkGroupSize.x, end_row) - 1;
  uint begin = visible_keys(first_row).x;
  uint end = visible_keys(last_row).y;
  if (OWN_POSITIONS == 1) {  // in any order
    for (uint row = first_row; row <= last_row; ++row) {
      const uvec2 of_row = visible_keys(row);
      begin = min(begin, of_row.x);
      end = max(end, of_row.y);
    }
  }
  const uint key_step = CACHED == 1 && block_shift > 0 ? 1 : kv_heads;  // from key to key
  // From a multiple on, so that what a row gives does not depend on the others.
  for (uint key = begin / KEYS * KEYS; key < end; key += KEYS) {
    float weights[KEYS];  // scores first
    const uint tile_row = row_of_head(first_key + key, kv_head);
#ifndef SAME_shuffle
    uint said[KEYS];  // where the table says that they lie, and their values
    if (TABLED == 2) {
      for (uint i = 0; i < KEYS; ++i) said[i] = uint(load_i32(places, min(key + i, end - 1)));
    }
#endif
    float of_tile = kMasked;
    {
      HOLD(keys, Q_LENGTH)
      UNROLL for (uint i = 0; i < KEYS; ++i) {
        vec4 products = query[0] * KEY_WORD(keys, Q_LENGTH, i, 0);
        UNROLL for (uint e = 1; e < Q_LENGTH; ++e) products = fma(query[e], KEY_WORD(keys, Q_LENGTH, i, e), products);
        const bool seen = key + i >= range.x && key + i < range.y;
        weights[i] = seen ? finish_score(dot(products, vec4(1.0)), head, t, min(key + i, end - 1)) : kMasked;
        of_tile = max(of_tile, weights[i]);
      }
    }
    // Sums are only scaled where their weights would be more than e times 1: each time rounds them.
    const float new_largest = of_tile > largest + 1.0 ? of_tile : largest;
    const float rescale = exp(largest - new_largest);
    largest = new_largest;
    total *= rescale;
    UNROLL for (uint i = 0; i < KEYS; ++i) {
      weights[i] = weights[i] == kMasked ? 0.0 : exponential(weights[i] - new_largest);
      total += weights[i];
    }
    {
      HOLD(values, V_LENGTH)
      UNROLL for (uint e = 0; e < V_LENGTH; ++e) {
        sums[e] *= rescale;
        UNROLL for (uint i = 0; i < KEYS; ++i) {
          // A weight of 0 hides its value, an infinite one too: rows see different keys of these.
          const vec4 value = KEY_WORD(values, V_LENGTH, i, e);
          sums[e] = fma(vec4(weights[i]), weights[i] == 0.0 ? vec4(0.0) : value, sums[e]);
        }
      }
    }
  }

  if (own >= end_row) return;
  const float scale_out = total == 0.0 ? 0.0 : 1.0 / total;  // no key at all yields zeros
  UNROLL for (uint e = 0; e < V_LENGTH; ++e) {
    const uint at = (t * heads + head) * value_dim + e * 4;
    for (uint c = 0; c < 4; ++c) y[at + c] = sums[e][c] * scale_out;
  }
}
