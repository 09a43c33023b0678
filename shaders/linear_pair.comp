#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant LANES: rows columns
//
// Two products in one dispatch, for a single row of x: y = h W2^T + bias2 + residual with h = act(x W^T + bias), gated or
// after a norm as in linear_lanes.comp (engine/ops/linear.cpp). A workgroup makes some columns of h and multiplies them by
// those columns of W2; the last one adds up what all of them made. Saves a dispatch, which on CPU drivers costs as much as
// a small product.
// LANES_rows: lanes have rows of W of their own, x and h go from lane to lane, and a workgroup is one subgroup.
// LANES_columns: SHARING lanes have a row of W together, each a run of its columns, and add up in shared memory: many lanes,
// whatever the subgroups, so that a GPU has work for all of them.
#extension GL_GOOGLE_include_directive : require
#ifdef LANES_rows
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
layout(local_size_x_id = 0) in;
#include "constants/linear_pair.h"

#define SCALES_APART
#define SECOND_WEIGHT 3
#define PARTS 9
#include "memory.glsl"
#include "activation.glsl"
#include "weights.glsl"

READ_F32X4(0, x);
READ_F32(5, bias);
READ_F32X4(6, norm_weight);
READ_F32(7, bias_2);
READ_F32(8, residual);
WRITE_F32(11, y);

#ifdef LANES_rows
// A chunk is the columns that the lanes hold together, a vec4 each.
const uint CHUNK = 4;  // rows of W a lane takes at a time, which make a chunk of h
#else
const uint CHUNK = 1;
#endif
const uint SUMS = CHUNK * (1 + GATED);
#include "lanes.glsl"
#include "second_product.glsl"

shared float h_shared[COLUMNS];
vec4 squares = vec4(0.0);
uint h_first;  // columns of h before this workgroup's

// Column n of h of what the rows of W that make it gave, without their norm.
float finished(uint n, float sum, float gated_sum, float scale) {
  float value = sum * scale;
  if (HAS_BIAS == 1) value += load_f32(bias, n);
  value = activate(ACTIVATION, value);
  if (GATED == 1) {
    float linear_part = gated_sum * scale;
    if (HAS_BIAS == 1) linear_part += load_f32(bias, n + hidden);
    value *= linear_part;
  }
  return value;
}

#ifdef LANES_rows
vec4 chunk;

void fetch_x(uint vector, bool second, out vec4 xs[FETCHED]) {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_SubgroupInvocationID;
  const uint at = second ? vector - h_first / 4 : vector;
  if (at % lanes == 0) {
    if (second) {
      const uint k = (at + lane) * 4;
      chunk = vec4(h_shared[k], h_shared[k + 1], h_shared[k + 2], h_shared[k + 3]);
    } else {
      chunk = at + lane < columns / 4 ? load_f32x4(x, at + lane) : vec4(0.0);
      if (HAS_NORM == 1) {
        squares += chunk * chunk;
        if (at + lane < columns / 4) chunk *= load_f32x4(norm_weight, at + lane);
      }
    }
  }
  for (uint j = 0; j < PART_VECTORS; ++j) xs[j] = subgroupShuffle(chunk, at % lanes + j);
}

void make_h(uint h_end) {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_SubgroupInvocationID;
  float scale = 1.0;
  for (uint first = h_first; first < h_end; first += CHUNK * lanes) {
    float sums[SUMS];
    Row row_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) {
      sums[r] = 0.0;
      row_of[r] = weight_row(first + (r % CHUNK) * lanes + lane + (r / CHUNK) * hidden, row_units);
    }
    multiply(row_of, 0, row_units, false, sums);
    // All of x has been seen once now.
    if (HAS_NORM == 1 && first == h_first) {
      scale = inversesqrt(subgroupAdd(sum_of(squares)) / float(columns) + norm_eps);
    }
    for (uint r = 0; r < CHUNK; ++r) {
      const uint n = first + r * lanes + lane;
      h_shared[n - h_first] = finished(n, sums[r], sums[(r + CHUNK) % SUMS], scale);
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
  for (uint j = 0; j < PART_VECTORS; ++j) {
    const uint k = vector * 4 - h_first + 4 * j;
    xs[j] = vec4(h_shared[k], h_shared[k + 1], h_shared[k + 2], h_shared[k + 3]);
  }
}

void make_h(uint h_end) {
  const uint rows = gl_WorkGroupSize.x / SHARING;  // at a time
  for (uint first = h_first; first < h_end; first += rows) {
    const uint n = first + gl_LocalInvocationID.x / SHARING;
    // Past the end the last one is repeated and not written.
    const uint row = min(n, h_end - 1);
    Row row_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) row_of[r] = weight_row(row + r * hidden, row_units);
    float sums[SUMS];
    const float scale = multiply_together(row_of, row_units, sums);
    if (leads() && n < h_end) h_shared[n - h_first] = finished(n, sums[0], sums[SUMS - 1], scale);
  }
}
#endif

void main() {
  h_first = gl_WorkGroupID.x * COLUMNS;
  const uint h_end = min(h_first + COLUMNS, hidden);
  make_h(h_end);
  barrier();

  second_product(h_first / (4 * UNIT_VECTORS), h_end / (4 * UNIT_VECTORS));
}
