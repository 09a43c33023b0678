#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
//
// Two products in one dispatch, for a single row of x: y = h W2^T + bias2 + residual with h = act(x W^T + bias), gated or
// after a norm as in linear_lanes.comp (engine/ops/linear.cpp). A workgroup makes some columns of h and multiplies them by
// those columns of W2; the last one adds up what all of them made. Saves a dispatch, which on CPU drivers costs as much as
// a small product. A workgroup is one subgroup: x and h go from lane to lane.
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
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

// A chunk is the columns that the lanes hold together, a vec4 each.
const uint CHUNK = 4;  // rows of W a lane takes at a time, which make a chunk of h
const uint SUMS = CHUNK * (1 + GATED);
#include "lanes.glsl"
#include "second_product.glsl"

shared float h_shared[COLUMNS];
vec4 chunk;
vec4 squares = vec4(0.0);
uint h_first;  // columns of h before this workgroup's

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

void main() {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_SubgroupInvocationID;
  h_first = gl_WorkGroupID.x * COLUMNS;
  const uint h_end = min(h_first + COLUMNS, hidden);

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
      float value = sums[r] * scale;
      if (HAS_BIAS == 1) value += load_f32(bias, n);
      value = activate(ACTIVATION, value);
      if (GATED == 1) {
        float linear_part = sums[(r + CHUNK) % SUMS] * scale;
        if (HAS_BIAS == 1) linear_part += load_f32(bias, n + hidden);
        value *= linear_part;
      }
      h_shared[n - h_first] = value;
    }
  }
  barrier();

  second_product(h_first / (4 * UNIT_VECTORS), h_end / (4 * UNIT_VECTORS));
}
