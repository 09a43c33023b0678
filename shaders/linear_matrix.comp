#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant VECTOR: 4 1
// without WEIGHT_i?q.* VECTOR_1: rows of blocks are whole vectors
// variant SAME: read storage
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for many rows t (engine/ops/linear.cpp).
// A lane owns ROWS rows t and 4 columns n (gated: 2 and their 2 partners) in registers; a unit of each weight row and
// a vec4 of each x row are fetched for 16 * ROWS multiply-adds. No shared memory. Workgroups: column groups vary
// slowest, so that neighbours share weights.
// BY_EXPERT: the rows of a tile have one expert. chosen holds, for each tile, that expert (or -1: no tile) and ROWS rows
// of y (or -1, behind the last), see expert_tiles.comp.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear.h"
#define row_groups share  // groups of ROWS rows of x
// All lanes read the same x: unrolled, GPUs would fetch more of it at a time than they have scalar registers.
#extension GL_EXT_control_flow_attributes : require
#if defined(WEIGHT_f32) || defined(WEIGHT_f16) || defined(WEIGHT_bf16)
#define ROLLED
#else
#define ROLLED [[dont_unroll]]
#endif

#include "memory.glsl"
#include "activation.glsl"
#define SCALES_APART
#include "weights.glsl"
#include "experts.glsl"

#ifdef VECTOR_4
SAME_F32X4(0, x);
#define LOAD_X(t, k4) load_same_f32x4(x, (t) * (columns / 4) + (k4))
#else
SAME_F32(0, x);
#define X(t, k) ((k) < columns ? load_same_f32(x, (t) * columns + (k)) : 0.0)
#define LOAD_X(t, k4) vec4(X(t, (k4) * 4), X(t, (k4) * 4 + 1), X(t, (k4) * 4 + 2), X(t, (k4) * 4 + 3))
#endif
READ_F32(3, bias);
READ_F32(4, residual);
WRITE_F32(6, y);

const uint COLUMNS = GATED == 1 ? 2 : 4;

uint t0;

// The row of y that is row r of the tile; rows past the end are `rows` or more.
uint tile_row(uint r) { return BY_EXPERT == 1 ? uint(load_i32(chosen, t0 / ROWS * (ROWS + 1) + 1 + r)) : t0 + r; }
// The row of x that it reads; of rows past the end, that of any.
uint x_row(uint r) {
  const uint t = min(tile_row(r), rows - 1);
  return BY_EXPERT == 1 ? t / sharers : t;
}

uint x_rows[ROWS];

void main() {
  const uint group = workgroup_index();
  t0 = (group % row_groups) * ROWS;
  const uint expert = BY_EXPERT == 1 ? uint(load_i32(chosen, t0 / ROWS * (ROWS + 1))) : 0;
  const int first_row = first_row_of(expert);
  const uint group_n0 = (group / row_groups) * gl_WorkGroupSize.x * COLUMNS;
  if (BY_EXPERT == 1 && (expert >= experts || has_none_of(first_row, group_n0, gl_WorkGroupSize.x * COLUMNS))) return;
  const uint n0 = group_n0 + gl_LocalInvocationID.x * COLUMNS;
  if (n0 >= y_columns()) return;
  for (uint r = 0; r < ROWS; ++r) x_rows[r] = x_row(r);

  Row weight_rows[4];
  for (uint c = 0; c < 4; ++c) {
    weight_rows[c] = weight_row(row_of_column(first_row, n0 + c % COLUMNS) + (c / COLUMNS) * count, row_units);
  }
  vec4 sums[ROWS];
  for (uint r = 0; r < ROWS; ++r) sums[r] = vec4(0.0);

  for (uint part = 0; part < row_units; part += SCALED_UNITS) {
#ifdef QUANTISED
    Scales scales_of[4];
    for (uint c = 0; c < 4; ++c) scales_of[c] = load_scales(weight_rows[c], part);
    const uint part_end = min(part + SCALED_UNITS, row_units);
    for (uint unit = part; unit < part_end; ++unit) {
#else
    const uint unit = part;
    {
#endif
      Unit u[4];
      for (uint c = 0; c < 4; ++c) {
        u[c] = load_unit(weight_rows[c], unit);
#ifdef QUANTISED
        scale_unit(u[c], scales_of[c], unit);
#endif
      }
      ROLLED for (uint j = 0; j < UNIT_VECTORS; ++j) {
        vec4 w[4];
        for (uint c = 0; c < 4; ++c) {
          w[c] = unit_vector(u[c], j);
#ifdef UNIT_SCALED
          w[c] *= u[c].scale;
#endif
        }
        for (uint r = 0; r < ROWS; ++r) {
          const vec4 xs = LOAD_X(BY_EXPERT == 1 ? x_rows[r] : min(t0 + r, rows - 1), unit * UNIT_VECTORS + j);
          sums[r] += vec4(dot(w[0], xs), dot(w[1], xs), dot(w[2], xs), dot(w[3], xs));
        }
      }
    }
  }

  for (uint r = 0; r < ROWS; ++r) {
    const uint t = tile_row(r);
    if (t >= rows) break;
    for (uint c = 0; c < COLUMNS; ++c) {
      if (!has_column(first_row, n0 + c)) continue;
      const uint n = column_of_y(n0 + c);
      float value = sums[r][c];
      if (HAS_BIAS == 1) value += load_f32(bias, n);
      value = activate(ACTIVATION, value);
      if (GATED == 1) {
        float linear_part = sums[r][c + 2];
        if (HAS_BIAS == 1) linear_part += load_f32(bias, n + width);
        value *= linear_part;
      }
      if (HAS_RESIDUAL == 1) value += load_f32(residual, t * width + n);
      y[t * width + n] = value;
    }
  }
}
