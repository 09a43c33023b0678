#version 450
// variant ACCESS: storage texel
// variant SAME: read storage shuffle
// variant KV: f32 f16
//
// Attention for many query rows: a lane owns ROWS query rows of a head and goes along the keys alone, so that a key is read
// once for all lanes, nothing is summed across them and nothing waits (online softmax, Milakov and Gimelshein 2018). Heads
// are whole vec4s; q and the sums stay in registers, so the head's size is a constant. Keys come KEYS at a time, for one
// new maximum each. Of a key a workgroup reads d + dv elements, and its lanes do 2 (d + dv) ROWS flops each. All lanes fetch
// all of that; or, with SAME_shuffle, where a workgroup is one subgroup, each a part of it, which it hands on: a fetch costs
// CPU drivers as much as 20 multiplications, wherever its lanes read.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SAME_shuffle
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
layout(local_size_x_id = 0) in;
#include "constants/attention_rows.h"
#define VECTOR_4
#define SHARED_PLACES
#include "memory.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32(5, y);

// The head's row of the i-th key, which lies in `place` where a table says so. A tile of keys lies in one block of the cache.
#define ROW(place, i) (TABLED == 2 ? row_of_head(place, kv_head) : tile_row + min(i, end - 1 - key) * key_step)
#ifdef SAME_shuffle
#define lane gl_SubgroupInvocationID
const uint HOLDERS = gl_WorkGroupSize.x;
// Declares `held`: of KEYS keys, or values, in `name`, each `length` vec4s, those that a lane fetches. Loops end at a constant
// of their own: compilers leave others as they are, where rounds count (DeviceCaps::max_loop_iterations) and `held` is memory.
#define HELD(length) ((KEYS * (length) + HOLDERS - 1) / HOLDERS)
#define HOLD(name, length)                                                                   \
  vec4 held[HELD(length)];                                                                   \
  [[unroll]] for (uint h = 0; h < HELD(length); ++h) {                                       \
    const uint word = min(h * HOLDERS + lane, KEYS * (length) - 1);                          \
    const uint of_key = word / (length);                                                     \
    const uint place = TABLED == 2 ? uint(load_i32(places, min(key + of_key, end - 1))) : 0; \
    held[h] = load_key(name, ROW(place, of_key) * (length) + word % (length));               \
  }
#define KEY_WORD(name, length, i, e) \
  subgroupShuffle(held[((i) * (length) + (e)) / HOLDERS], ((i) * (length) + (e)) % HOLDERS)
#define UNROLL [[unroll]]
#else
#define HOLD(name, length)
#define KEY_WORD(name, length, i, e) load_key(name, ROW(said[i], i) * (length) + (e))
#define UNROLL
#endif

void main() {
  const uint block_rows = gl_WorkGroupSize.x * ROWS;
  const uint group = workgroup_index();
  const uint blocks = (memory_rows + block_rows - 1) / block_rows;
  const uint memories = rows / memory_rows;
  const uint head = group / (blocks * memories);
  if (head >= heads) return;
  const uint memory = group / blocks % memories;
  const uint first_row = memory * memory_rows + group % blocks * block_rows;
  const uint end_row = (memory + 1) * memory_rows;
  const uint first_key = memory * key_rows;
  const uint kv_head = head / (heads / kv_heads);

  // Rows past the end repeat the last one and are not written.
  uint t[ROWS];
  uvec2 range[ROWS];
  vec4 query[ROWS * Q_LENGTH];
  vec4 sums[ROWS * V_LENGTH];
  float largest[ROWS];
  float total[ROWS];
  UNROLL for (uint r = 0; r < ROWS; ++r) {
    t[r] = min(first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationID.x, end_row - 1);
    range[r] = visible_keys(t[r]);
    UNROLL for (uint e = 0; e < Q_LENGTH; ++e) {
      query[r * Q_LENGTH + e] = load(q, t[r] * (q_row / 4) + head * Q_LENGTH + e);
    }
    UNROLL for (uint e = 0; e < V_LENGTH; ++e) sums[r * V_LENGTH + e] = vec4(0.0);
    largest[r] = kMasked;
    total[r] = 0.0;
  }

  // Every lane goes through the keys that any lane sees.
  const uint last_row = min(first_row + block_rows, end_row) - 1;
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
    float scores[ROWS * KEYS];
    const uint tile_row = row_of_head(first_key + key, kv_head);
#ifndef SAME_shuffle
    uint said[KEYS];  // where the table says that they lie, and their values
    if (TABLED == 2) {
      for (uint i = 0; i < KEYS; ++i) said[i] = uint(load_i32(places, min(key + i, end - 1)));
    }
#endif
    {
      HOLD(keys, Q_LENGTH)
      UNROLL for (uint i = 0; i < KEYS; ++i) {
        const uint at = min(key + i, end - 1);
        vec4 products[ROWS];
        UNROLL for (uint e = 0; e < Q_LENGTH; ++e) {
          const vec4 word = KEY_WORD(keys, Q_LENGTH, i, e);
          UNROLL for (uint r = 0; r < ROWS; ++r) {
            const vec4 of_query = query[r * Q_LENGTH + e];
            products[r] = e == 0 ? of_query * word : fma(of_query, word, products[r]);
          }
        }
        UNROLL for (uint r = 0; r < ROWS; ++r) {
          const bool seen = key + i >= range[r].x && key + i < range[r].y;
          scores[r * KEYS + i] = seen ? finish_score(dot(products[r], vec4(1.0)), head, t[r], at) : kMasked;
        }
      }
    }
    float rescale[ROWS];
    UNROLL for (uint r = 0; r < ROWS; ++r) {
      float of_tile = kMasked;
      UNROLL for (uint i = 0; i < KEYS; ++i) of_tile = max(of_tile, scores[r * KEYS + i]);
      // Sums are only scaled where their weights would be more than e times 1: each time rounds them.
      const float new_largest = of_tile > largest[r] + 1.0 ? of_tile : largest[r];
      rescale[r] = exp(largest[r] - new_largest);
      largest[r] = new_largest;
      total[r] *= rescale[r];
      UNROLL for (uint i = 0; i < KEYS; ++i) {
        const float score = scores[r * KEYS + i];
        scores[r * KEYS + i] = score == kMasked ? 0.0 : exponential(score - new_largest);
        total[r] += scores[r * KEYS + i];
      }
    }
    {
      HOLD(values, V_LENGTH)
      UNROLL for (uint e = 0; e < V_LENGTH; ++e) {
        UNROLL for (uint r = 0; r < ROWS; ++r) sums[r * V_LENGTH + e] *= rescale[r];
        UNROLL for (uint i = 0; i < KEYS; ++i) {
          const vec4 word = KEY_WORD(values, V_LENGTH, i, e);
          UNROLL for (uint r = 0; r < ROWS; ++r) {
            sums[r * V_LENGTH + e] = fma(vec4(scores[r * KEYS + i]), word, sums[r * V_LENGTH + e]);
          }
        }
      }
    }
  }

  UNROLL for (uint r = 0; r < ROWS; ++r) {
    if (first_row + r * gl_WorkGroupSize.x + gl_LocalInvocationID.x >= end_row) return;
    const float scale_out = total[r] == 0.0 ? 0.0 : 1.0 / total[r];  // no key at all yields zeros
    UNROLL for (uint e = 0; e < V_LENGTH; ++e) {
      const uint at = (t[r] * heads + head) * value_dim + e * 4;
      for (uint c = 0; c < 4; ++c) y[at + c] = sums[r * V_LENGTH + e][c] * scale_out;
    }
  }
}
