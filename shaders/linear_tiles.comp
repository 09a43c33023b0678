#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant VECTOR: 4 1
// without WEIGHT_i?q.* VECTOR_1: rows of blocks are whole vectors
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for many rows t (engine/ops/linear.cpp).
// A workgroup makes a tile of y (tiles.glsl): x comes as f32, weights are decoded on the way into shared memory, and the next
// step of 32 columns is on its way into registers while this one is multiplied. A lane fetches vec4s of x of which eight lie
// side by side, and units of weights (weights.glsl), or shares one with its neighbours where there are fewer units than
// lanes. A step reads 128 TILE_ROWS bytes of x and 4 to 32 units of each of TILE_COLUMNS weight rows for
// 64 TILE_ROWS TILE_COLUMNS flops.
// Workgroups: tiles of the same weight rows come one after the other, then parts of their sums (IN_PARTS: y is
// [parts, rows, columns, and partners behind them], of which linear_parts.comp makes the sums), then other weight rows.
// BY_EXPERT: as in linear_matrix.comp, chosen holds an expert and TILE_ROWS rows of y for each tile.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear_tiles.h"

#include "memory.glsl"
#include "weights.glsl"
#include "experts.glsl"
#include "linear_epilogue.glsl"
#include "tiles.glsl"

#ifdef VECTOR_4
READ_F32X4(0, x);
vec4 load_x(uint t, uint k4) { return k4 < columns / 4 ? load_f32x4(x, t * (columns / 4) + k4) : vec4(0.0); }
#else
READ_F32(0, x);
#define X(t, k) ((k) < columns ? load_f32(x, (t) * columns + (k)) : 0.0)
vec4 load_x(uint t, uint k4) { return vec4(X(t, k4 * 4), X(t, k4 * 4 + 1), X(t, k4 * 4 + 2), X(t, k4 * 4 + 3)); }
#endif

const uint LANES = TILE_ROWS / LANE_ROWS * (TILE_COLUMNS / LANE_COLUMNS);
const uint OWN_COLUMNS = TILE_COLUMNS / (1 + GATED);  // of y

// Vec4s of x that a lane fetches.
const uint X_ITEMS = (TILE_ROWS * STEP_VECTORS + LANES - 1) / LANES;
const uint UNITS = STEP_VECTORS / UNIT_VECTORS;  // of a row in a step
// Units that lanes fetch, UNIT_LANES of which share one and decode W_VECTORS of its vec4s each.
const uint W_TOTAL = TILE_COLUMNS * UNITS * UNIT_LANES;
const uint W_ITEMS = (W_TOTAL + LANES - 1) / LANES;
const uint W_VECTORS = UNIT_VECTORS / UNIT_LANES;

uint x_rows[X_ITEMS];
vec4 next_x[X_ITEMS];
Row weight_rows[W_ITEMS];
Unit next_w[W_ITEMS];

uint x_item(uint i) { return i * LANES + gl_LocalInvocationID.x; }
uint w_item(uint i) { return i * LANES + gl_LocalInvocationID.x; }
uint w_unit(uint i, uint step) { return step * UNITS + w_item(i) / UNIT_LANES % UNITS; }

void fetch(uint step) {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) next_w[i] = load_unit(weight_rows[i], min(w_unit(i, step), row_units - 1));
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) next_x[i] = load_x(x_rows[i], step * STEP_VECTORS + x_item(i) % STEP_VECTORS);
}

void put(uint step) {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    if (W_TOTAL % LANES != 0 && w_item(i) >= W_TOTAL) break;
    const uint row = w_item(i) / (UNIT_LANES * UNITS);
    const uint first = w_item(i) % UNIT_LANES * W_VECTORS;  // of the unit's vectors
    const uint k4 = w_item(i) / UNIT_LANES % UNITS * UNIT_VECTORS + first;
    const bool there = w_unit(i, step) < row_units;
    [[unroll]] for (uint j = 0; j < W_VECTORS; ++j) {
      vec4 w = unit_vector(next_w[i], first + j);
#ifdef UNIT_SCALED
      w *= next_w[i].scale;
#endif
      put_b(row, k4 + j, there ? w : vec4(0.0));
    }
  }
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    if (TILE_ROWS * STEP_VECTORS % LANES != 0 && x_item(i) >= TILE_ROWS * STEP_VECTORS) break;
    put_a(x_item(i) / STEP_VECTORS, x_item(i) % STEP_VECTORS, next_x[i]);
  }
}

void main() {
  const uint group = workgroup_index();
  const uint tile = group % row_tiles;
  const uint part = group / row_tiles % parts;
  const uint column0 = group / row_tiles / parts * OWN_COLUMNS;
  if (column0 >= y_columns()) return;
  const uint at_tile = tile * (TILE_ROWS + 1);  // of chosen
  const uint expert = BY_EXPERT == 1 ? uint(load_i32(chosen, at_tile)) : 0;
  const int first_row = first_row_of(expert);
  if (BY_EXPERT == 1 && (expert >= experts || has_none_of(first_row, column0, OWN_COLUMNS))) return;

  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    const uint r = min(x_item(i) / STEP_VECTORS, TILE_ROWS - 1);
    // Rows past the end repeat the last one and are not written.
    const uint t = BY_EXPERT == 1 ? uint(load_i32(chosen, at_tile + 1 + r)) : tile * TILE_ROWS + r;
    x_rows[i] = min(t, rows - 1) / (BY_EXPERT == 1 ? sharers : 1);
  }
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    const uint row = min(w_item(i) / (UNIT_LANES * UNITS), TILE_COLUMNS - 1);
    weight_rows[i] =
        weight_row(row_of_column(first_row, column0 + row % OWN_COLUMNS) + row / OWN_COLUMNS * count, row_units);
  }

  clear_sums();
  const uint begin = part * part_steps;
  const uint end = min(begin + part_steps, (row_units + UNITS - 1) / UNITS);
  fetch(begin);
  for (uint step = begin; step < end; ++step) {
    barrier();
    put(step);
    barrier();
    if (step + 1 < end) fetch(step + 1);
    multiply_step();
  }

  [[unroll]] for (uint r = 0; r < LANE_ROWS; ++r) {
    const uint t = BY_EXPERT == 1 ? uint(load_i32(chosen, at_tile + 1 + tile_row(r))) : tile * TILE_ROWS + tile_row(r);
    if (t >= rows) break;
    [[unroll]] for (uint c = 0; c < LANE_COLUMNS / (1 + GATED); ++c) {
      const uint column = column0 + tile_column(c);
      if (!has_column(first_row, column)) continue;
      const float sum = sums[r * LANE_COLUMNS + c];
      const float partner = sums[r * LANE_COLUMNS + (c + LANE_COLUMNS / 2) % LANE_COLUMNS];
      if (IN_PARTS == 1) {
        const uint to = (part * rows + t) * count * (1 + GATED) + column;
        y[to] = sum;
        if (GATED == 1) y[to + count] = partner;
      } else {
        write_y(t, column_of_y(column), sum, partner);
      }
    }
  }
}
