#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant VECTOR: 4 1
// without WEIGHT_i?q.* VECTOR_1: rows of blocks are whole vectors
// variant SAME: read storage shuffle
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n] (engine/ops/linear.cpp).
// A lane owns ROWS weight rows (lanes.glsl). A workgroup takes gl_WorkGroupSize.x * ROWS weight rows and X_ROWS rows t,
// for which a unit of each weight row (weights.glsl) is fetched once: 2 * X_ROWS flops an element of the weight. What a row
// of y becomes does not depend on how many there are. x is fetched once a workgroup, at the same place by all lanes, or in
// turn and handed on (hand_on.glsl). Workgroups that share weights are neighbours.
// BY_EXPERT: chosen[t] is the expert of row t. Where X_ROWS is more than one, the rows of a workgroup are a tile with one
// expert instead: chosen holds, for each tile, that expert (or -1: no tile) and X_ROWS rows of y (or -1, behind the last),
// see expert_tiles.comp.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear.h"
#define row_groups share  // groups of X_ROWS rows of x

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

#define SEVERAL
#include "lanes.glsl"
#include "hand_on.glsl"

// vec4 j of what is fetched at a time of row t is number j * X_ROWS + t of those that lanes fetch in turn. Their rows repeat
// after HELD_ROWS of a lane, X_ROWS by the greatest divisor that it has in common with HOLDERS, a power of 2: of 6 rows and 8
// lanes after 3.
const uint VECTORS_HELD = HELD(FETCHED);
const uint POWER_OF_2 = X_ROWS & (0u - X_ROWS);
const uint IN_COMMON = POWER_OF_2 < HOLDERS ? POWER_OF_2 : HOLDERS;
const uint HELD_ROWS = X_ROWS / IN_COMMON;
uint x_rows[HELD_ROWS];
vec4 squares[HELD_ROWS];  // where HAS_NORM, and lanes then fetch all of x themselves

// The row of y that is row r of the workgroup; rows past the end are `rows` or more.
uint row_of_y(uint group, uint r) {
  return BY_EXPERT == 1 && X_ROWS > 1 ? uint(load_i32(chosen, group * (X_ROWS + 1) + 1 + r)) : group * X_ROWS + r;
}

void fetch_x(uint at, bool second, out vec4 xs[FETCHED]) {
  vec4 held[VECTORS_HELD];
  [[unroll]] for (uint i = 0; i < VECTORS_HELD; ++i) {
    const uint k4 = at + min((i * HOLDERS + holder) / X_ROWS, PART_VECTORS - 1);  // some lanes may have fewer
    vec4 v = LOAD_4(x, x_rows[i % HELD_ROWS], k4);
    if (HAS_NORM == 1) {
      squares[i % HELD_ROWS] += v * v;
      v *= LOAD_4(norm_weight, 0, k4);
    }
    held[i] = v;
  }
  [[unroll]] for (uint t = 0; t < X_ROWS; ++t) {
    [[unroll]] for (uint j = 0; j < PART_VECTORS; ++j) {
      xs[t * PART_VECTORS + j] = HANDED_ON(held, j * X_ROWS + t);
    }
  }
}

// 1 / the root mean square of row t of x, of which all columns were fetched.
float norm_scale(uint t) { return inversesqrt(sum_of(squares[t % HELD_ROWS]) / float(columns) + norm_eps); }

void main() {
  const uint group = workgroup_index();
  const uint row_group = group % row_groups;
  const uint begin = group / row_groups * gl_WorkGroupSize.x * ROWS;
  if (begin >= y_columns()) return;
  const uint own = begin + lane;
  const uint expert = BY_EXPERT == 1 ? uint(load_i32(chosen, X_ROWS > 1 ? row_group * (X_ROWS + 1) : row_group)) : 0;
  const int first_row = first_row_of(expert);
  if (BY_EXPERT == 1 && (expert >= experts || has_none_of(first_row, begin, gl_WorkGroupSize.x * ROWS))) return;

  [[unroll]] for (uint i = 0; i < HELD_ROWS; ++i) {
    squares[i] = vec4(0.0);
    // Rows past the end are fetched as the last one and not written.
    const uint t = min(row_of_y(row_group, (i * HOLDERS + holder) % X_ROWS), rows - 1);
    x_rows[i] = BY_EXPERT == 1 ? t / sharers : t;
  }
  float sums[PRODUCTS];
  [[unroll]] for (uint i = 0; i < PRODUCTS; ++i) sums[i] = 0.0;
  Row row_of[SUMS];
  [[unroll]] for (uint r = 0; r < SUMS; ++r) {
    row_of[r] = weight_row(row_of_column(first_row, own + (r % ROWS) * gl_WorkGroupSize.x) + (r / ROWS) * count, row_units);
  }
  multiply(row_of, 0, row_units, false, sums);

  float scales[X_ROWS];
  [[unroll]] for (uint t = 0; t < X_ROWS; ++t) scales[t] = HAS_NORM == 1 ? norm_scale(t) : 1.0;
  [[unroll]] for (uint r = 0; r < ROWS; ++r) {
    if (!has_column(first_row, own + r * gl_WorkGroupSize.x)) continue;
    const uint n = column_of_y(own + r * gl_WorkGroupSize.x);
    const float added = HAS_BIAS == 1 ? load_f32(bias, n) : 0.0;
    const float gate_added = GATED == 1 && HAS_BIAS == 1 ? load_f32(bias, n + width) : 0.0;
    [[unroll]] for (uint i = 0; i < X_ROWS; ++i) {
      const uint t = row_of_y(row_group, i);
      if (t >= rows) continue;
      float value = sums[r * X_ROWS + i] * scales[i];
      if (HAS_BIAS == 1) value += added;
      value = activate(ACTIVATION, value);
      if (GATED == 1) {
        float linear_part = sums[(r + ROWS) % SUMS * X_ROWS + i] * scales[i];
        if (HAS_BIAS == 1) linear_part += gate_added;
        value *= linear_part;
      }
      if (HAS_RESIDUAL == 1) value += load_f32(residual, t * width + n);
      y[t * width + n] = value;
    }
  }
}
