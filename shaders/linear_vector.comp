#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant VECTOR: 4 1
// without WEIGHT_i?q.* VECTOR_1: rows of blocks are whole vectors
// variant SUBGROUP: 1 0
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for few rows t (engine/ops/linear.cpp).
// A workgroup takes `blocks_per_group` blocks of ROWS weight rows and one t; its lanes go along k, a unit of
// weights each (weights.glsl). BY_EXPERT: chosen[t] is the expert of row t. It moves ROWS rows of weights a block and 2 flops an
// element; x is read once a block. Workgroups side by side have the same blocks and different t, so that caches bring the
// weights once; BY_EXPERT, where rows have different weights, they have the same t.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear.h"
#define blocks_per_group share

#include "memory.glsl"
#include "reduce.glsl"
#include "activation.glsl"
#include "weights.glsl"
#include "experts.glsl"

#ifdef VECTOR_4
READ_F32X4(0, x);
READ_F32X4(5, norm_weight);
#else
READ_F32(0, x);
READ_F32(5, norm_weight);
#endif
READ_F32(3, bias);
READ_F32(4, residual);
WRITE_F32(6, y);

vec4 load_x(uint t, uint k4) {
#ifdef VECTOR_4
  return load_f32x4(x, t * (columns / 4) + k4);
#else
  vec4 v = vec4(0.0);
  for (uint i = 0; i < 4; ++i) {
    if (k4 * 4 + i < columns) v[i] = load_f32(x, t * columns + k4 * 4 + i);
  }
  return v;
#endif
}

vec4 load_norm(uint k4) {
#ifdef VECTOR_4
  return load_f32x4(norm_weight, k4);
#else
  vec4 v = vec4(0.0);
  for (uint i = 0; i < 4; ++i) {
    if (k4 * 4 + i < columns) v[i] = load_f32(norm_weight, k4 * 4 + i);
  }
  return v;
#endif
}

const uint SUMS = ROWS * (1 + GATED);

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint blocks = (y_columns() + ROWS - 1) / ROWS;
  const uint groups = (blocks + blocks_per_group - 1) / blocks_per_group;  // of a row
  const uint t = BY_EXPERT == 1 ? workgroup_index() / groups : workgroup_index() % rows;
  if (t >= rows) return;
  const uint expert = BY_EXPERT == 1 ? uint(load_i32(chosen, t)) : 0;
  if (BY_EXPERT == 1 && expert >= experts) return;
  const uint x_row = BY_EXPERT == 1 ? t / sharers : t;
  const int first_row = first_row_of(expert);
  const uint block_begin = (BY_EXPERT == 1 ? workgroup_index() % groups : workgroup_index() / rows) * blocks_per_group;
  const uint block_end = min(block_begin + blocks_per_group, blocks);  // before the beginning, of workgroups too many

  for (uint block = block_begin; block < block_end; ++block) {
    if (BY_EXPERT == 1 && has_none_of(first_row, block * ROWS, ROWS)) continue;
    float sums[SUMS];
    for (uint r = 0; r < SUMS; ++r) sums[r] = 0.0;
    float squares = 0.0;

    for (uint unit = lane; unit < row_units; unit += gl_WorkGroupSize.x) {
      vec4 xs[UNIT_VECTORS];
      for (uint j = 0; j < UNIT_VECTORS; ++j) {
        xs[j] = load_x(x_row, unit * UNIT_VECTORS + j);
        if (HAS_NORM == 1) {
          squares += dot(xs[j], xs[j]);
          xs[j] *= load_norm(unit * UNIT_VECTORS + j);
        }
      }
      for (uint r = 0; r < SUMS; ++r) {
        // Rows past the end repeat the last one and are not written.
        const uint row = row_of_column(first_row, block * ROWS + r % ROWS) + (r / ROWS) * count;
        const Unit u = load_unit(weight_row(row, row_units), unit);
        vec4 partial = xs[0] * unit_vector(u, 0);
        for (uint j = 1; j < UNIT_VECTORS; ++j) partial = fma(xs[j], unit_vector(u, j), partial);
        const float sum = (partial.x + partial.y) + (partial.z + partial.w);
#ifdef UNIT_SCALED
        sums[r] = fma(sum, u.scale, sums[r]);
#else
        sums[r] += sum;
#endif
      }
    }

    float scale = 1.0;
    if (HAS_NORM == 1) scale = inversesqrt(workgroup_sum(squares) / float(columns) + norm_eps);
    for (uint r = 0; r < SUMS; ++r) sums[r] = workgroup_sum(sums[r]) * scale;

    if (lane == 0) {
      for (uint r = 0; r < ROWS; ++r) {
        if (!has_column(first_row, block * ROWS + r)) continue;
        const uint n = column_of_y(block * ROWS + r);
        float value = sums[r];
        if (HAS_BIAS == 1) value += load_f32(bias, n);
        value = activate(ACTIVATION, value);
        if (GATED == 1) {
          float linear_part = sums[(r + ROWS) % SUMS];
          if (HAS_BIAS == 1) linear_part += load_f32(bias, n + width);
          value *= linear_part;
        }
        if (HAS_RESIDUAL == 1) value += load_f32(residual, t * width + n);
        y[t * width + n] = value;
      }
    }
  }
}
