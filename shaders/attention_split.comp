#version 450
// variant ACCESS: storage texel
// variant KV: f32 f16
//
// Attention of a single query row with a cache (engine/ops/attention.cpp), its keys shared by `runs` workgroups, so that
// few heads fill many cores. A workgroup takes GROUP heads that share a key/value head, and one run of the keys that are
// visible now: whole tiles, shared evenly. Runs without keys only say so. The newest key and value come
// from k and v; the run that they belong to writes them to the cache, where nobody reads them in this dispatch.
//
// Of a tile, KEY_LANES lanes share a key: they read its words side by side, for all heads of the group at once. Then lanes
// are keys of one head (online softmax, Milakov and Gimelshein 2018); then words of the value row, LANES / V_LENGTH keys at
// a time. A run leaves in `parts`, for each head, its largest score, the sum of exp(score - largest), and that of those
// times the value rows; the workgroup that arrives last adds the runs up, always in the same order.
//
// A run of n keys reads n (d + dv) elements and does 2 n (d + dv) GROUP flops.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_split.h"
#define VECTOR_4
const uint CACHED = 1;
const uint CAUSAL = 0;  // there is no later key
const uint OWN_POSITIONS = 0;
const uint LENGTHS = 0;
#include "memory.glsl"
#include "rotary.glsl"
#include "attention.glsl"

READ_F32(0, q);
WRITE_F32(5, y);
READ_F32(6, k);
READ_F32(7, v);
READ_F32(8, table);
WRITE_CACHE(9, cache_k);
WRITE_CACHE(10, cache_v);
#define PARTS 11
#include "arrival.glsl"

const uint KEYS_AT_ONCE = LANES / KEY_LANES;
const uint TEAM = LANES / GROUP;          // lanes of a head while weights are made
const uint VALUES_AT_ONCE = LANES / V_LENGTH;
const uint PART = 4 * V_LENGTH + 2;       // floats that a run leaves of a head

shared vec4 q_shared[GROUP * Q_LENGTH];
shared vec4 newest_k[Q_LENGTH];
shared float products[GROUP * TILE * KEY_LANES];
shared float weights[GROUP * TILE];  // scores first
shared float rescales[GROUP];
shared float totals[LANES];
shared vec4 lane_sums[LANES];

uint lane;
uint at;       // the newest key's position
uint kv_head;

// Elements of a head of q, or of the newest k, turned by the position.
vec2 turned_pair(vec2 pair_of, uint pair) {
  return pair < dims / 2 ? rotary_multiply(pair_of, rotary_turn(table, dims / 2, at, pair)) : pair_of;
}

void fetch_q(uint first_head) {
  const uint pairs = head_dim / 2;
  for (uint i = lane; i < GROUP * pairs; i += LANES) {
    const uint g = i / pairs;
    const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, i % pairs);
    const uint from = (first_head + g) * head_dim;
    const vec2 own = turned_pair(vec2(load_f32(q, from + e.x), load_f32(q, from + e.y)), i % pairs);
    q_shared[g * Q_LENGTH + e.x / 4][e.x % 4] = own.x;
    q_shared[g * Q_LENGTH + e.y / 4][e.y % 4] = own.y;
  }
}

// Elements [4 word, 4 word + 4) of the newest value row, as v has them.
vec4 newest_value(uint word) {
  const uint from = v_first + kv_head * value_dim + 4 * word;
  return vec4(load_f32(v, from), load_f32(v, from + 1), load_f32(v, from + 2), load_f32(v, from + 3));
}

void fetch_newest(bool writes) {
  for (uint pair = lane; pair < head_dim / 2; pair += LANES) {
    const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
    const uint from = k_first + kv_head * head_dim;
    const vec2 own = turned_pair(vec2(load_f32(k, from + e.x), load_f32(k, from + e.y)), pair);
    newest_k[e.x / 4][e.x % 4] = own.x;
    newest_k[e.y / 4][e.y % 4] = own.y;
#ifndef KV_f16
    if (!writes) continue;
    const uint to = row_of_head(at, kv_head) * head_dim;
    cache_k[to + e.x] = own.x;
    cache_k[to + e.y] = own.y;
#endif
  }
#ifdef KV_f16
  barrier();  // elements of a word may be of several pairs
  for (uint w = lane; w < Q_LENGTH; w += LANES) {
    const uvec2 words = pack_f16x4(newest_k[w]);
    newest_k[w] = unpack_f16x4(words);  // what later steps find in the cache
    if (!writes) continue;
    const uint to = (row_of_head(at, kv_head) * Q_LENGTH + w) * 2;
    cache_k[to] = words.x;
    cache_k[to + 1] = words.y;
  }
#endif
  if (!writes) return;
#ifdef KV_f16
  for (uint w = lane; w < V_LENGTH; w += LANES) {
    const uvec2 words = pack_f16x4(newest_value(w));
    const uint to = (row_of_head(at, kv_head) * V_LENGTH + w) * 2;
    cache_v[to] = words.x;
    cache_v[to + 1] = words.y;
  }
#else
  for (uint e = lane; e < value_dim; e += LANES) {
    cache_v[row_of_head(at, kv_head) * value_dim + e] = load_f32(v, v_first + kv_head * value_dim + e);
  }
#endif
}

// Scores of keys [tile, tile + TILE), kMasked from `end` on.
void score_tile(uint tile, uint end, uint first_head) {
  const uint part = lane % KEY_LANES;
  for (uint i = lane / KEY_LANES; i < TILE && lane < KEYS_AT_ONCE * KEY_LANES; i += KEYS_AT_ONCE) {
    const uint key = tile + i;
    float sums_of[GROUP];
    for (uint g = 0; g < GROUP; ++g) sums_of[g] = 0.0;
    if (key < end) {
      const uint base = row_of_head(key, kv_head) * Q_LENGTH;
      for (uint w = part; w < Q_LENGTH; w += KEY_LANES) {
        const vec4 word = key == at ? newest_k[w] : load_key(keys, base + w);
        for (uint g = 0; g < GROUP; ++g) sums_of[g] += dot(q_shared[g * Q_LENGTH + w], word);
      }
    }
    for (uint g = 0; g < GROUP; ++g) products[(g * TILE + i) * KEY_LANES + part] = sums_of[g];
  }
  barrier();
  for (uint i = lane; i < GROUP * TILE; i += LANES) {
    float product = 0.0;
    for (uint p = 0; p < KEY_LANES; ++p) product += products[i * KEY_LANES + p];
    const uint key = tile + i % TILE;
    weights[i] = key < end ? finish_score(product, first_head + i / TILE, 0, key) : kMasked;
  }
  barrier();
}

void attend_run(uint begin, uint end, uint first_head, uint first_part) {
  const uint team_head = min(lane / TEAM, GROUP - 1);
  const uint team_lane = lane - team_head * TEAM;  // TEAM and above: idle
  const uint word = lane % V_LENGTH;
  const bool sums_values = lane < VALUES_AT_ONCE * V_LENGTH;
  float largest = kMasked;
  float total = 0.0;
  vec4 sums[GROUP];
  for (uint g = 0; g < GROUP; ++g) sums[g] = vec4(0.0);
  for (uint tile = begin; tile < end; tile += TILE) {
    score_tile(tile, end, first_head);
    float new_largest = largest;
    for (uint i = 0; i < TILE; ++i) new_largest = max(new_largest, weights[team_head * TILE + i]);
    barrier();  // all lanes have seen the scores
    const float rescale = exp(largest - new_largest);
    total *= rescale;
    for (uint i = team_lane; i < TILE && team_lane < TEAM; i += TEAM) {
      const float score = weights[team_head * TILE + i];
      const float weight = score == kMasked ? 0.0 : exponential(score - new_largest);
      weights[team_head * TILE + i] = weight;
      total += weight;
    }
    if (team_lane == 0) rescales[team_head] = rescale;
    largest = new_largest;
    barrier();  // all weights of the tile are there
    for (uint g = 0; g < GROUP; ++g) sums[g] *= rescales[g];
    const uint count = min(TILE, end - tile);
    for (uint i = lane / V_LENGTH; i < count && sums_values; i += VALUES_AT_ONCE) {
      const uint key = tile + i;
      vec4 value;
      if (key == at) {
        value = newest_value(word);
#ifdef KV_f16
        value = unpack_f16x4(pack_f16x4(value));
#endif
      } else {
        value = load_key(values, row_of_head(key, kv_head) * V_LENGTH + word);
      }
      for (uint g = 0; g < GROUP; ++g) sums[g] += weighted(weights[g * TILE + i], value);
    }
    barrier();  // before the next tile overwrites them
  }

  totals[lane] = team_lane < TEAM ? total : 0.0;
  barrier();
  if (team_lane == 0) {
    float of_team = 0.0;
    for (uint i = 0; i < TEAM; ++i) of_team += totals[lane + i];
    parts[first_part + team_head * PART] = largest;
    parts[first_part + team_head * PART + 1] = of_team;
  }
  for (uint g = 0; g < GROUP; ++g) {
    barrier();
    lane_sums[lane] = sums[g];
    barrier();
    if (lane >= V_LENGTH) continue;
    vec4 sum = vec4(0.0);
    for (uint i = 0; i < VALUES_AT_ONCE; ++i) sum += lane_sums[i * V_LENGTH + lane];
    for (uint c = 0; c < 4; ++c) parts[first_part + g * PART + 2 + 4 * lane + c] = sum[c];
  }
}

// Adds up what the runs left of a head.
void write_head(uint head, uint first_part, uint e) {
  float largest = kMasked;
  for (uint run = 0; run < runs; ++run) largest = max(largest, parts[first_part + run * GROUP * PART]);
  float total = 0.0;
  float sum = 0.0;
  for (uint run = 0; run < runs; ++run) {
    const uint part = first_part + run * GROUP * PART;
    const float of_run = parts[part + 1];
    if (of_run == 0.0) continue;  // no key, or none that is seen
    const float rescale = exp(parts[part] - largest);
    total += of_run * rescale;
    sum += parts[part + 2 + e] * rescale;
  }
  y[head * value_dim + e] = total == 0.0 ? 0.0 : sum / total;
}

void main() {
  lane = gl_LocalInvocationID.x;
  const uint blocks = heads / GROUP;
  if (workgroup_index() >= blocks * runs) return;
  const uint block = workgroup_index() % blocks;
  const uint run = workgroup_index() / blocks;
  const uint first_head = block * GROUP;
  const uint group_heads = heads / kv_heads;
  kv_head = first_head / group_heads;
  at = uint(load_i32(position, 0));
  const uvec2 range = visible_keys(0);
  const uint tiles = (range.y - range.x + TILE - 1) / TILE;
  const uint run_keys = (tiles + runs - 1) / runs * TILE;
  const uint begin = min(range.x + run * run_keys, range.y);
  const uint end = min(begin + run_keys, range.y);
  const uint first_part = block * runs * GROUP * PART;
  const uint own_part = first_part + run * GROUP * PART;
  if (begin < end) {
    fetch_q(first_head);
    if (at >= begin && at < end) fetch_newest(first_head % group_heads == 0);
    barrier();
    attend_run(begin, end, first_head, own_part);
  } else {
    for (uint g = lane; g < GROUP; g += LANES) {
      parts[own_part + g * PART] = kMasked;
      parts[own_part + g * PART + 1] = 0.0;
    }
  }

  if (!arrives_last(block, runs)) return;
  for (uint i = lane; i < GROUP * value_dim; i += LANES) {
    const uint g = i / value_dim;
    write_head(first_head + g, first_part + g * PART, i % value_dim);
  }
}
