#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant LANES: rows columns
// variant KV: f32 f16
// without LANES_rows KV_f16: CPU drivers have caches of f32
//
// The attention half of a decoder layer in one dispatch, for a single row of x with a cache: q, k and v = norm(x) W^T +
// bias, attention_newest.glsl, and y = o W2^T + bias2 + residual (engine/ops/attention_block.cpp). A workgroup takes a head:
// its rows of W, and its columns of W2; the last one adds up what all of them made. Saves two dispatches, as
// linear_pair.comp, which says what the lanes do, saves one.
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#ifdef LANES_rows
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
layout(local_size_x_id = 0) in;
#include "constants/attention_block.h"
const uint MASKED = 0;
const uint CACHED = 1;
const uint CAUSAL = 0;
const uint OWN_POSITIONS = 0;
const uint TABLED = 0;
const uint LENGTHS = 0;
const uint SCORE = 0;

#define VECTOR_4
#define SUBGROUP_1
#define ATTENTION_BLOCK
#define SCALES_APART
#define FIRST_WEIGHT 5
#define SECOND_WEIGHT 7
#define PARTS 16
#include "memory.glsl"
#include "reduce.glsl"
#include "rotary.glsl"
#include "attention.glsl"
#include "weights.glsl"

READ_F32X4(0, x);
READ_F32(9, table);
WRITE_CACHE(10, cache_k);
WRITE_CACHE(11, cache_v);
READ_F32(12, bias);
READ_F32X4(13, norm_weight);
READ_F32(14, bias_2);
READ_F32(15, residual);
WRITE_F32(18, y);
#include "attention_pass.glsl"

shared float projected[2 * Q_LENGTH * WIDTH + V_LENGTH];  // q, k and v of the head, not yet turned
#define NEWEST_Q(t, head, e) projected[e]
#define NEWEST_K(t, kv_head, e) projected[head_dim + (e)]
#define NEWEST_V(t, kv_head, e) projected[2 * head_dim + (e)]
#include "attention_newest.glsl"
#include "lanes.glsl"
#include "second_product.glsl"

shared vec4 attended[V_LENGTH / 4];
vec4 squares = vec4(0.0);
uint first_unit_2;  // of the head's columns of W2

// The row of W that makes element i of `projected`.
uint projection_row(uint head, uint i) {
  const uint kv_head = head / GROUP_HEADS;
  if (i < head_dim) return head * head_dim + i;
  if (i < 2 * head_dim) return k_first + kv_head * head_dim + i - head_dim;
  return v_first + kv_head * value_dim + i - 2 * head_dim;
}

#ifdef LANES_rows
vec4 chunk;

void fetch_x(uint vector, bool second, out vec4 xs[FETCHED]) {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_SubgroupInvocationID;
  const uint at = second ? vector - first_unit_2 * UNIT_VECTORS : vector;
  if (at % lanes == 0) {
    chunk = vec4(0.0);
    if (second) {
      if (at + lane < V_LENGTH / 4) chunk = attended[at + lane];
    } else if (at + lane < columns / 4) {
      chunk = load_f32x4(x, at + lane);
      if (HAS_NORM == 1) {
        squares += chunk * chunk;
        chunk *= load_f32x4(norm_weight, at + lane);
      }
    }
  }
  for (uint j = 0; j < PART_VECTORS; ++j) xs[j] = subgroupShuffle(chunk, at % lanes + j);
}

void project(uint head, uint count) {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_SubgroupInvocationID;
  float norm_scale = 1.0;
  for (uint first = 0; first < count; first += SUMS * lanes) {
    float products[SUMS];
    Row row_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) {
      products[r] = 0.0;
      // Past the end the last one is repeated and not written.
      row_of[r] = weight_row(projection_row(head, min(first + r * lanes + lane, count - 1)), row_units);
    }
    multiply(row_of, 0, row_units, false, products);
    // All of x has been seen once now.
    if (HAS_NORM == 1 && first == 0) {
      norm_scale = inversesqrt(subgroupAdd(sum_of(squares)) / float(columns) + norm_eps);
    }
    for (uint r = 0; r < SUMS; ++r) {
      const uint i = first + r * lanes + lane;
      if (i >= count) break;
      projected[i] = products[r] * norm_scale + (HAS_BIAS == 1 ? load_f32(bias, projection_row(head, i)) : 0.0);
    }
  }
}
#else
#include "shared_rows.glsl"

void fetch_x(uint vector, bool second, out vec4 xs[FETCHED]) {
  if (!second) {
    fetch_normed(vector, xs);
    return;
  }
  for (uint j = 0; j < PART_VECTORS; ++j) xs[j] = attended[vector - first_unit_2 * UNIT_VECTORS + j];
}

void project(uint head, uint count) {
  const uint rows = gl_WorkGroupSize.x / SHARING;  // that all lanes have together; SUMS times as many at a time
  for (uint first = 0; first < count; first += SUMS * rows) {
    Row row_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) {
      // Past the end the last one is repeated and not written.
      const uint i = min(first + r * rows + gl_LocalInvocationID.x / SHARING, count - 1);
      row_of[r] = weight_row(projection_row(head, i), row_units);
    }
    float products[SUMS];
    const float norm_scale = multiply_together(row_of, row_units, products);
    if (!leads()) continue;
    for (uint r = 0; r < SUMS; ++r) {
      const uint i = first + r * rows + gl_LocalInvocationID.x / SHARING;
      if (i >= count) break;
      projected[i] = products[r] * norm_scale + (HAS_BIAS == 1 ? load_f32(bias, projection_row(head, i)) : 0.0);
    }
  }
}
#endif

void main() {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_LocalInvocationID.x;
  const uint head = gl_WorkGroupID.x;
  project(head, 2 * head_dim + value_dim);
  barrier();

  attend_step(0, head);
  const float attended_scale = total == 0.0 ? 0.0 : 1.0 / total;  // no key at all yields zeros
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * lanes + lane;
    if (e >= V_LENGTH / 4) break;
    attended[e] = sums[s] * attended_scale;
  }
  barrier();

  const uint unit_columns = 4 * UNIT_VECTORS;
  first_unit_2 = head * value_dim / unit_columns;
  second_product(first_unit_2, first_unit_2 + value_dim / unit_columns);
}
