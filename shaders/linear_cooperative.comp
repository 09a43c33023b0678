#version 450
// variant ACCESS: storage texel
// needs GL_KHR_cooperative_matrix
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for many rows t and weights of f16 (engine/ops/linear.cpp),
// by cooperative matrices: x comes as two halves (linear_halves.comp), each of which is multiplied, so that products are
// exact and sums are f32, as everywhere. A workgroup makes a tile of y out of shared memory, as in linear_tiles.comp: its
// subgroups have MATRIX_ROWS x MATRIX_COLUMNS matrices of M x N sums each. A step of 32 columns reads 128 TILE_ROWS bytes
// of x and 64 TILE_COLUMNS of weights for 64 TILE_ROWS TILE_COLUMNS flops, which are done twice. Rows in shared memory
// are 8 elements apart from each other besides, so that they lie in different banks.
// Workgroups as in linear_tiles.comp. Needs full subgroups of SUBGROUP_SIZE.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#pragma use_vulkan_memory_model
layout(local_size_x_id = 0) in;
#include "constants/linear_cooperative.h"

#define WEIGHT_f16
#include "memory.glsl"
#include "weights.glsl"
#include "linear_epilogue.glsl"

READ_U32X4(0, x);          // [high or low, rows, row_words]
READ_F32(5, x_scales);     // of rows

const uint STEP = 32;                   // columns of k
const uint STEP_WORDS = STEP / 8;
const uint STRIDE = (STEP + 8) / 4;     // of rows in shared memory, in vectors of 4
const uint LANES = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * SUBGROUP_SIZE;
const uint TILE_ROWS = SUBGROUPS_DOWN * MATRIX_ROWS * M;
const uint TILE_COLUMNS = SUBGROUPS_ACROSS * MATRIX_COLUMNS * N;
const uint OWN_COLUMNS = TILE_COLUMNS / (1 + GATED);  // of y

shared f16vec4 tile_x[2 * TILE_ROWS * STRIDE];  // high, low
shared f16vec4 tile_w[TILE_COLUMNS * STRIDE];
shared float result[SUBGROUPS_DOWN * SUBGROUPS_ACROSS * M * N * (1 + GATED)];  // of each subgroup one matrix, and partners

const uint X_TOTAL = 2 * TILE_ROWS * STEP_WORDS;
const uint X_ITEMS = (X_TOTAL + LANES - 1) / LANES;
const uint W_TOTAL = TILE_COLUMNS * STEP_WORDS;
const uint W_ITEMS = (W_TOTAL + LANES - 1) / LANES;

uvec4 next_x[X_ITEMS];
uvec4 next_w[W_ITEMS];
uint x_first[X_ITEMS];
Row weight_rows[W_ITEMS];

uint item(uint i) { return i * LANES + gl_LocalInvocationID.x; }

void fetch(uint step) {
  const uint word = step * STEP_WORDS + gl_LocalInvocationID.x % STEP_WORDS;
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    next_w[i] = word < row_units ? load_word(weight_rows[i], word) : uvec4(0);
  }
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) next_x[i] = load_u32x4(x, x_first[i] + word);
}

f16vec4 halves(uint a, uint b) { return f16vec4(unpackFloat2x16(a), unpackFloat2x16(b)); }

void put(uint step) {
  const uint word = gl_LocalInvocationID.x % STEP_WORDS * 2;
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    if (W_TOTAL % LANES != 0 && item(i) >= W_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + word;
    tile_w[to] = halves(next_w[i].x, next_w[i].y);
    tile_w[to + 1] = halves(next_w[i].z, next_w[i].w);
  }
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    if (X_TOTAL % LANES != 0 && item(i) >= X_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + word;
    tile_x[to] = halves(next_x[i].x, next_x[i].y);
    tile_x[to + 1] = halves(next_x[i].z, next_x[i].w);
  }
}

void main() {
  const uint group = workgroup_index();
  const uint tile = group % row_tiles;
  const uint part = group / row_tiles % parts;
  const uint column0 = group / row_tiles / parts * OWN_COLUMNS;
  if (column0 >= count) return;

  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    const uint r = min(item(i) / STEP_WORDS, 2 * TILE_ROWS - 1);
    // Rows past the end repeat the last one and are not written.
    x_first[i] = (r / TILE_ROWS * rows + min(tile * TILE_ROWS + r % TILE_ROWS, rows - 1)) * x_words;
  }
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    const uint row = min(item(i) / STEP_WORDS, TILE_COLUMNS - 1);
    weight_rows[i] = weight_row(min(column0 + row % OWN_COLUMNS, count - 1) + row / OWN_COLUMNS * count, row_units);
  }

  // A subgroup's matrices lie side by side down, and SUBGROUPS_ACROSS matrices apart across, so that partners are its own.
  const uint down = gl_SubgroupID / SUBGROUPS_ACROSS * MATRIX_ROWS;
  const uint across = gl_SubgroupID % SUBGROUPS_ACROSS;
  coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[MATRIX_ROWS * MATRIX_COLUMNS];
  [[unroll]] for (uint i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i) {
    sums[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0.0);
  }
  const uint begin = part * part_steps;
  const uint end = min(begin + part_steps, (row_units + STEP_WORDS - 1) / STEP_WORDS);
  fetch(begin);
  for (uint step = begin; step < end; ++step) {
    barrier();
    put(step);
    barrier();
    if (step + 1 < end) fetch(step + 1);
    [[unroll]] for (uint k = 0; k < STEP; k += K) {
      coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> high[MATRIX_ROWS];
      coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> low[MATRIX_ROWS];
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        const uint at = (down + r) * M * STRIDE + k / 4;
        coopMatLoad(high[r], tile_x, at, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(low[r], tile_x, at + TILE_ROWS * STRIDE, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
      }
      [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
        coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> w;
        coopMatLoad(w, tile_w, (across + c * SUBGROUPS_ACROSS) * N * STRIDE + k / 4, STRIDE,
                    gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
          sums[r * MATRIX_COLUMNS + c] = coopMatMulAdd(low[r], w, sums[r * MATRIX_COLUMNS + c]);
          sums[r * MATRIX_COLUMNS + c] = coopMatMulAdd(high[r], w, sums[r * MATRIX_COLUMNS + c]);
        }
      }
    }
  }

  const uint own = gl_SubgroupID * M * N * (1 + GATED);
  [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
    [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS / (1 + GATED); ++c) {
      barrier();
      coopMatStore(sums[r * MATRIX_COLUMNS + c], result, own, N, gl_CooperativeMatrixLayoutRowMajor);
      if (GATED == 1) {
        coopMatStore(sums[r * MATRIX_COLUMNS + c + MATRIX_COLUMNS / 2], result, own + M * N, N,
                     gl_CooperativeMatrixLayoutRowMajor);
      }
      barrier();
      for (uint i = gl_SubgroupInvocationID; i < M * N; i += SUBGROUP_SIZE) {
        const uint t = tile * TILE_ROWS + (down + r) * M + i / N;
        const uint column = column0 + (across + c * SUBGROUPS_ACROSS) * N + i % N;
        if (t >= rows || column >= count) continue;
        const float scale = load_f32(x_scales, t);
        const float sum = result[own + i] * scale;
        const float partner = GATED == 1 ? result[own + M * N + i] * scale : 0.0;
        if (IN_PARTS == 1) {
          const uint to = (part * rows + t) * count * (1 + GATED) + column;
          y[to] = sum;
          if (GATED == 1) y[to + count] = partner;
        } else {
          write_y(t, first + column, sum, partner);
        }
      }
    }
  }
}
