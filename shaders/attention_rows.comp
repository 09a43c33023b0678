#version 450
// variant ACCESS: storage texel
// variant SAME: read storage
// variant KV: f32 f16
//
// Attention for many query rows: a lane owns one query row of a head and goes along the keys alone, so that a key is read
// once for all lanes, nothing is summed across them and nothing waits (online softmax, Milakov and Gimelshein 2018). Heads
// are whole vec4s; q and the sums stay in registers, so the head's size is a constant. Keys come KEYS at a time, for one
// new maximum each. Reads d + dv elements and does 2 (d + dv) flops for each lane a key.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_rows.h"
#define VECTOR_4
#define SHARED_PLACES
#include "memory.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32(5, y);

// The head's row of the i-th key. A tile of keys lies in one block of the cache. The array is not needed otherwise: CPU
// drivers keep it in memory.
#define ROW(i) (TABLED == 2 ? row_of_head(said[i], kv_head) : tile_row + min(i, end - 1 - key) * key_step)

void main() {
  const uint group = workgroup_index();
  const uint blocks = (memory_rows + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
  const uint memories = rows / memory_rows;
  const uint head = group / (blocks * memories);
  if (head >= heads) return;
  const uint memory = group / blocks % memories;
  const uint first_row = memory * memory_rows + group % blocks * gl_WorkGroupSize.x;
  const uint end_row = (memory + 1) * memory_rows;
  const uint own = first_row + gl_LocalInvocationID.x;
  const uint t = min(own, end_row - 1);  // rows past the end repeat the last one and are not written
  const uint first_key = memory * key_rows;
  const uint kv_head = head / (heads / kv_heads);

  vec4 query[Q_LENGTH];
  for (uint e = 0; e < Q_LENGTH; ++e) query[e] = load(q, t * (q_row / 4) + head * Q_LENGTH + e);
  vec4 sums[V_LENGTH];
  for (uint e = 0; e < V_LENGTH; ++e) sums[e] = vec4(0.0);
  float largest = kMasked;
  float total = 0.0;

  // Every lane goes through the keys that any lane sees.
  const uvec2 range = visible_keys(t);
  uint begin = visible_keys(first_row).x;
  uint end = visible_keys(min(first_row + gl_WorkGroupSize.x, end_row) - 1).y;
  if (OWN_POSITIONS == 1) {  // in any order
    for (uint r = first_row; r < min(first_row + gl_WorkGroupSize.x, end_row); ++r) {
      const uvec2 of_row = visible_keys(r);
      begin = min(begin, of_row.x);
      end = max(end, of_row.y);
    }
  }
  const uint key_step = CACHED == 1 && block_shift > 0 ? 1 : kv_heads;  // from key to key
  // From a multiple on, so that what a row gives does not depend on the others.
  for (uint key = begin / KEYS * KEYS; key < end; key += KEYS) {
    float scores[KEYS];
    uint said[KEYS];  // where the table says that they lie, and their values
    const uint tile_row = row_of_head(first_key + key, kv_head);
    float new_largest = largest;
    for (uint i = 0; i < KEYS; ++i) {
      const uint at = min(key + i, end - 1);
      if (TABLED == 2) said[i] = uint(load_i32(places, at));
      const uint base = ROW(i) * Q_LENGTH;
      vec4 product = query[0] * load_key(keys, base);
      for (uint e = 1; e < Q_LENGTH; ++e) product = fma(query[e], load_key(keys, base + e), product);
      const bool seen = key + i >= range.x && key + i < range.y;
      scores[i] = seen ? finish_score(dot(product, vec4(1.0)), head, t, at) : kMasked;
      new_largest = max(new_largest, scores[i]);
    }
    const float rescale = exp(largest - new_largest);
    largest = new_largest;
    total *= rescale;
    for (uint i = 0; i < KEYS; ++i) {
      scores[i] = scores[i] == kMasked ? 0.0 : exponential(scores[i] - largest);
      total += scores[i];
    }
    for (uint e = 0; e < V_LENGTH; ++e) {
      vec4 sum = sums[e] * rescale;
      for (uint i = 0; i < KEYS; ++i) {
        const uint base = ROW(i) * V_LENGTH;
        sum = fma(vec4(scores[i]), load_key(values, base + e), sum);
      }
      sums[e] = sum;
    }
  }

  if (own >= end_row) return;
  const float scale_out = total == 0.0 ? 0.0 : 1.0 / total;  // no key at all yields zeros
  for (uint e = 0; e < V_LENGTH; ++e) {
    const uint at = (t * heads + head) * value_dim + e * 4;
    for (uint c = 0; c < 4; ++c) y[at + c] = sums[e][c] * scale_out;
  }
}
