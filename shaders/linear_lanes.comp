#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant VECTOR: 4 1
// without WEIGHT_i?q.* VECTOR_1: rows of blocks are whole vectors
// variant SAME: read storage
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for few rows t (engine/ops/linear.cpp).
// A lane owns ROWS weight rows (lanes.glsl). A workgroup takes gl_WorkGroupSize.x * ROWS weight rows and one t. A unit
// of each weight row (weights.glsl) is fetched once; x once a workgroup, at the same place by all lanes. BY_EXPERT:
// chosen[t] is the expert of row t.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear.h"
#define blocks share  // workgroups that share a t

#define SCALES_APART
#include "memory.glsl"
#include "activation.glsl"
#include "weights.glsl"
#include "experts.glsl"

#ifdef VECTOR_4
SAME_F32X4(0, x);
SAME_F32X4(5, norm_weight);
#define LOAD_4(name, row, k4) load_same_f32x4(name, (row) * (columns / 4) + (k4))
#else
SAME_F32(0, x);
SAME_F32(5, norm_weight);
#define ELEMENT(name, row, k) ((k) < columns ? load_same_f32(name, (row) * columns + (k)) : 0.0)
#define LOAD_4(name, row, k4) vec4(ELEMENT(name, row, (k4) * 4), ELEMENT(name, row, (k4) * 4 + 1), \
                                   ELEMENT(name, row, (k4) * 4 + 2), ELEMENT(name, row, (k4) * 4 + 3))
#endif
READ_F32(3, bias);
READ_F32(4, residual);
WRITE_F32(6, y);

const uint SUMS = ROWS * (1 + GATED);

#include "lanes.glsl"

uint t;
uint x_row;
vec4 squares = vec4(0.0);

void fetch_x(uint unit, bool second, out vec4 xs[UNIT_VECTORS]) {
  for (uint j = 0; j < UNIT_VECTORS; ++j) {
    xs[j] = LOAD_4(x, x_row, unit * UNIT_VECTORS + j);
    if (HAS_NORM == 1) {
      squares += xs[j] * xs[j];
      xs[j] *= LOAD_4(norm_weight, 0, unit * UNIT_VECTORS + j);
    }
  }
}

void main() {
  const uint group = workgroup_index();
  t = group / blocks;
  if (t >= rows) return;
  const uint begin = group % blocks * gl_WorkGroupSize.x * ROWS;
  const uint own = begin + gl_LocalInvocationID.x;
  const uint expert = BY_EXPERT == 1 ? uint(load_i32(chosen, t)) : 0;
  x_row = BY_EXPERT == 1 ? t / sharers : t;
  const int first_row = first_row_of(expert);
  if (BY_EXPERT == 1 && (expert >= experts || has_none_of(first_row, begin, gl_WorkGroupSize.x * ROWS))) return;
  float sums[SUMS];
  Row row_of[SUMS];
  for (uint r = 0; r < SUMS; ++r) {
    sums[r] = 0.0;
    // Rows past the end repeat the last one and are not written.
    row_of[r] = weight_row(row_of_column(first_row, own + (r % ROWS) * gl_WorkGroupSize.x) + (r / ROWS) * count, row_units);
  }
  multiply(row_of, 0, row_units, false, sums);

  const float scale = HAS_NORM == 1 ? inversesqrt(sum_of(squares) / float(columns) + norm_eps) : 1.0;
  for (uint r = 0; r < ROWS; ++r) {
    if (!has_column(first_row, own + r * gl_WorkGroupSize.x)) continue;
    const uint n = column_of_y(own + r * gl_WorkGroupSize.x);
    float value = sums[r] * scale;
    if (HAS_BIAS == 1) value += load_f32(bias, n);
    value = activate(ACTIVATION, value);
    if (GATED == 1) {
      float linear_part = sums[(r + ROWS) % SUMS] * scale;
      if (HAS_BIAS == 1) linear_part += load_f32(bias, n + width);
      value *= linear_part;
    }
    if (HAS_RESIDUAL == 1) value += load_f32(residual, t * width + n);
    y[t * width + n] = value;
  }
}
