#version 450
// variant ACCESS: storage texel
// variant KV: f32 f16
//
// Attention for many query rows, for GPUs: a workgroup takes a tile of rows through the keys, tile by tile, in shared memory
// (online softmax, Milakov and Gimelshein 2018, in tiles as in FlashAttention-2, Dao 2023). Rows are queries of all heads that
// share a key/value head, heads side by side, so that these share what is fetched. Tiles of keys that no row sees are not
// visited: where attention is causal or has a window, loops begin and end there.
//
// A tile has ROWS rows and KEYS keys. KEY_LANES lanes own ROWS_A_LANE rows together: of the scores a lane has four keys of
// each row, of the sums WORDS vec4s of each row, so that both products take 4 x 4 or more multiplications for 4 + 4 reads of
// shared memory, and rows are rescaled where they lie. Keys come STEP vec4s at a time, then values VALUE_KEYS rows at a time,
// through the same memory, the next already fetched into registers while these are multiplied. Weights cross lanes in shared
// memory; nothing needs subgroups.
//
// For n visible keys a workgroup reads n (d + dv) elements, and q once or, where it does not fit beside them, once a tile of
// keys; it does 2 n (d + dv) ROWS flops.
//
// A weight of 0 hides its value row, an infinite one too: rows see different keys of a tile. Only tiles in which something is
// not finite pay for that.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
#include "constants/attention_tiles.h"
#define VECTOR_4
#define SHARED_PLACES
#include "memory.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32X4(5, y);

const uint ROWS = LANES / KEY_LANES * ROWS_A_LANE;
const uint KEYS = 4 * KEY_LANES;
const uint K_CHUNKS = Q_LENGTH / STEP;

shared vec4 q_shared[ROWS * Q_STEP];
shared vec4 kv_shared[KV_WORDS];
shared vec4 weights[ROWS * KEY_LANES];  // of four keys each; maxima of rows in x before
shared uint q_places[ROWS];             // where rows of q begin, in vec4s
shared uint broken;                     // whether a value was not finite

vec4 staged[STAGED];
vec4 q_staged[Q_STAGED];

uint lane;
uint kv_head;
uint first_key;  // of the memory
uint end;        // of the keys that any row sees

// Where a key of the memory lies, and its value.
uint place_of(uint key) { return TABLED == 2 ? uint(load_i32(places, key)) : first_key + key; }

// Words [chunk * STEP, + STEP) of keys [tile, tile + KEYS), and of the rows of q where these come in chunks too.
void fetch_keys(uint tile, uint chunk) {
  [[unroll]] for (uint i = 0; i < STAGED; ++i) {
    const uint at = i * LANES + lane;
    const uint key = tile + at / STEP;
    staged[i] = vec4(0.0);
    if (at < KEYS * STEP && key < end) {
      staged[i] = load_key(keys, row_of_head(place_of(key), kv_head) * Q_LENGTH + chunk * STEP + at % STEP);
    }
  }
  if (Q_STEP == Q_LENGTH) return;
  [[unroll]] for (uint i = 0; i < Q_STAGED; ++i) {
    const uint at = min(i * LANES + lane, ROWS * STEP - 1);
    q_staged[i] = load(q, q_places[at / STEP] + chunk * STEP + at % STEP);
  }
}

// Lane c of those that share rows multiplies keys 4 c to 4 c + 3, and finds them KEY_LANES apart.
void store_keys() {
  [[unroll]] for (uint i = 0; i < STAGED; ++i) {
    const uint at = i * LANES + lane;
    const uint key = at / STEP;
    if (at < KEYS * STEP) kv_shared[(key % 4 * KEY_LANES + key / 4) * STRIDE + at % STEP] = staged[i];
  }
  if (Q_STEP == Q_LENGTH) return;
  [[unroll]] for (uint i = 0; i < Q_STAGED; ++i) {
    const uint at = i * LANES + lane;
    if (at < ROWS * STEP) q_shared[at] = q_staged[i];
  }
}

// Value rows [key, key + VALUE_KEYS).
void fetch_values(uint key) {
  [[unroll]] for (uint i = 0; i < STAGED; ++i) {
    const uint at = i * LANES + lane;
    const uint own = key + at / V_LENGTH;
    staged[i] = vec4(0.0);
    if (at < VALUE_KEYS * V_LENGTH && own < end) {
      staged[i] = load_key(values, row_of_head(place_of(own), kv_head) * V_LENGTH + at % V_LENGTH);
    }
  }
}

void store_values() {
  [[unroll]] for (uint i = 0; i < STAGED; ++i) {
    const uint at = i * LANES + lane;
    if (at < VALUE_KEYS * V_LENGTH) {
      kv_shared[at] = staged[i];
      if (!all_finite(staged[i])) broken = 1;
    }
  }
}

// sums += weights times the value rows in shared memory, where the condition holds.
#define ADD_VALUES(first_weight, condition)                                                                        \
  for (uint four = 0; four < VALUE_KEYS / 4; ++four) {                                                             \
    vec4 weight[ROWS_A_LANE];                                                                                      \
    [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) weight[r] = weights[first_weight + r * KEY_LANES + four];    \
    [[unroll]] for (uint j = 0; j < WORDS; ++j) {                                                                  \
      const uint word = 4 * four * V_LENGTH + min(j * KEY_LANES + c, V_LENGTH - 1);                                \
      [[unroll]] for (uint i = 0; i < 4; ++i) {                                                                    \
        const vec4 value = kv_shared[word + i * V_LENGTH];                                                         \
        [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {                                                        \
          if (condition) sums[r * WORDS + j] = fma(vec4(weight[r][i]), value, sums[r * WORDS + j]);                \
        }                                                                                                          \
      }                                                                                                            \
    }                                                                                                              \
  }

void main() {
  lane = gl_LocalInvocationID.x;
  const uint group_heads = heads / kv_heads;
  const uint tiles = (memory_rows * group_heads + ROWS - 1) / ROWS;  // of rows of a memory
  const uint memories = rows / memory_rows;
  const uint group = workgroup_index();
  if (group >= tiles * memories * kv_heads) return;
  kv_head = group / (tiles * memories);
  const uint memory = group / tiles % memories;
  first_key = CACHED == 1 ? 0 : memory * key_rows;
  // The last rows, which see the most keys where attention is causal, begin first.
  const uint first = (tiles - 1 - group % tiles) * ROWS;
  const uint row_count = min(ROWS, memory_rows * group_heads - first);
  const uint first_row = memory * memory_rows + first / group_heads;
  const uint last_row = memory * memory_rows + (first + row_count - 1) / group_heads;

  for (uint r = lane; r < ROWS; r += LANES) {
    const uint row = first + min(r, row_count - 1);  // rows past the end repeat the last one and are not written
    const uint head = kv_head * group_heads + row % group_heads;
    q_places[r] = (memory * memory_rows + row / group_heads) * (q_row / 4) + head * Q_LENGTH;
  }
  if (lane == 0) broken = 0;
  barrier();
  if (Q_STEP == Q_LENGTH) {
    for (uint i = lane; i < ROWS * Q_LENGTH; i += LANES) q_shared[i] = load(q, q_places[i / Q_LENGTH] + i % Q_LENGTH);
  }

  // Every row goes through the keys that any row sees.
  uint begin = visible_keys(first_row).x;
  end = visible_keys(last_row).y;
  if (OWN_POSITIONS == 1) {  // in any order
    begin = key_rows;
    for (uint t = first_row; t <= last_row; ++t) {
      const uvec2 of_row = visible_keys(t);
      if (of_row.x < of_row.y) begin = min(begin, of_row.x);
      end = max(end, of_row.y);
    }
  }

  begin = begin / KEYS * KEYS;  // so that what a row gives does not depend on the others

  const uint c = lane % KEY_LANES;
  const uint own_first = lane / KEY_LANES * ROWS_A_LANE;
  uint t[ROWS_A_LANE];
  uint head[ROWS_A_LANE];
  uvec2 range[ROWS_A_LANE];
  float largest[ROWS_A_LANE];
  float total[ROWS_A_LANE];  // of the lane's own keys
  vec4 sums[ROWS_A_LANE * WORDS];
  [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {
    const uint row = first + min(own_first + r, row_count - 1);
    t[r] = memory * memory_rows + row / group_heads;
    head[r] = kv_head * group_heads + row % group_heads;
    range[r] = visible_keys(t[r]);
    largest[r] = kMasked;
    total[r] = 0.0;
    [[unroll]] for (uint j = 0; j < WORDS; ++j) sums[r * WORDS + j] = vec4(0.0);
  }

  if (begin < end) fetch_keys(begin, 0);
  for (uint tile = begin; tile < end; tile += KEYS) {
    vec4 scores[ROWS_A_LANE];
    [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) scores[r] = vec4(0.0);
    for (uint chunk = 0; chunk < K_CHUNKS; ++chunk) {
      store_keys();
      barrier();
      if (chunk + 1 < K_CHUNKS) {
        fetch_keys(tile, chunk + 1);
      } else {
        fetch_values(tile);
      }
      const uint q_first = Q_STEP == Q_LENGTH ? chunk * STEP : 0;
      for (uint w = 0; w < STEP; ++w) {
        const mat4 k = transpose(mat4(kv_shared[c * STRIDE + w], kv_shared[(KEY_LANES + c) * STRIDE + w],
                                      kv_shared[(2 * KEY_LANES + c) * STRIDE + w],
                                      kv_shared[(3 * KEY_LANES + c) * STRIDE + w]));
        [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {
          const vec4 own = q_shared[(own_first + r) * Q_STEP + q_first + w];
          scores[r] = fma(vec4(own.x), k[0], scores[r]);
          scores[r] = fma(vec4(own.y), k[1], scores[r]);
          scores[r] = fma(vec4(own.z), k[2], scores[r]);
          scores[r] = fma(vec4(own.w), k[3], scores[r]);
        }
      }
      barrier();  // before the next chunk overwrites this one
    }

    [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {
      float own_largest = kMasked;
      [[unroll]] for (uint i = 0; i < 4; ++i) {
        const uint key = tile + 4 * c + i;
        const bool seen = key >= range[r].x && key < range[r].y;
        scores[r][i] = seen ? finish_score(scores[r][i], head[r], t[r], key) : kMasked;
        own_largest = max(own_largest, scores[r][i]);
      }
      weights[(own_first + r) * KEY_LANES + c].x = own_largest;
    }
    barrier();
    [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {
      float new_largest = largest[r];
      for (uint i = 0; i < KEY_LANES; ++i) new_largest = max(new_largest, weights[(own_first + r) * KEY_LANES + i].x);
      const float rescale = exp(largest[r] - new_largest);
      largest[r] = new_largest;
      total[r] *= rescale;
      [[unroll]] for (uint i = 0; i < 4; ++i) {
        scores[r][i] = scores[r][i] == kMasked ? 0.0 : exponential(scores[r][i] - new_largest);
        total[r] += scores[r][i];
      }
      [[unroll]] for (uint j = 0; j < WORDS; ++j) sums[r * WORDS + j] *= rescale;
    }
    barrier();  // all lanes have seen the maxima
    [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) weights[(own_first + r) * KEY_LANES + c] = scores[r];

    const uint tile_end = min(tile + KEYS, end);
    for (uint key = tile; key < tile_end; key += VALUE_KEYS) {
      store_values();
      barrier();
      if (key + VALUE_KEYS < tile_end) {
        fetch_values(key + VALUE_KEYS);
      } else if (tile_end < end) {
        fetch_keys(tile_end, 0);
      }
      const uint first_weight = own_first * KEY_LANES + (key - tile) / 4;
      if (broken == 0) {
        ADD_VALUES(first_weight, true)
      } else {
        ADD_VALUES(first_weight, weight[r][i] != 0.0)
      }
      barrier();  // before the next chunk overwrites this one
    }
  }

  // Sums of all lanes' totals, in the order of their keys.
  [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) weights[(own_first + r) * KEY_LANES + c].x = total[r];
  barrier();
  [[unroll]] for (uint r = 0; r < ROWS_A_LANE; ++r) {
    float of_row = 0.0;
    for (uint i = 0; i < KEY_LANES; ++i) of_row += weights[(own_first + r) * KEY_LANES + i].x;
    const float scale_out = of_row == 0.0 ? 0.0 : 1.0 / of_row;  // no key at all yields zeros
    if (own_first + r >= row_count) continue;
    [[unroll]] for (uint j = 0; j < WORDS; ++j) {
      const uint word = j * KEY_LANES + c;
      if (word < V_LENGTH) y[(t[r] * heads + head[r]) * V_LENGTH + word] = sums[r * WORDS + j] * scale_out;
    }
  }
}
