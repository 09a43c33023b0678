#version 450
// variant ACCESS: storage
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// needs GL_KHR_cooperative_matrix
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for many rows t (engine/ops/linear.cpp), by cooperative
// matrices of f16: x comes as two halves (linear_halves.comp), each of which is multiplied, so that products are exact and
// sums are f32, as everywhere; or, where it is tuned so, as the first of them alone (HALVES). Of weights that have
// scales the whole numbers are multiplied, which are exact in f16; the sums of a group of columns that share one are then
// multiplied by it, and what is subtracted of all its weights by the group's sum of x. Rows of bf16 and f32 are made such on the
// way: each step's 32 columns are scaled by a power of two so that the largest fits f16; what is smaller than that by 2^31
// loses bits. Of f32 there are two halves as well, W_HALVES, or one where x has one: high high, low high and high low are
// multiplied. With what is left out and rounded, a product is off by no more than 2^-20 of itself, or a weight by 2^-37 of the
// step's largest where that is more. Weights are finite: an infinite one may make NaN of what would be an infinity, since 0 is
// the second half of many x.
//
// A workgroup makes a tile of y out of shared memory, as in linear_tiles.comp: its subgroups have MATRIX_ROWS x MATRIX_COLUMNS
// matrices of M x N sums each. A step of 32 columns reads 64 HALVES TILE_ROWS bytes of x and 4 to 1 units of each of
// TILE_COLUMNS weight rows, which UNIT_LANES lanes decode together, for 64 TILE_ROWS TILE_COLUMNS flops, which are done
// HALVES + W_HALVES - 1 times. Rows in shared memory are 8 elements apart from each other besides, so that they lie in different banks.
// Scales are read as matrices whose rows, or columns, are the same in memory: their stride is 0.
// Workgroups as in linear_tiles.comp. Needs full subgroups of SUBGROUP_SIZE.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#if defined(WEIGHT_bf16) || defined(WEIGHT_f32)
#define SCALED_HERE
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#pragma use_vulkan_memory_model
layout(local_size_x_id = 0) in;
#include "constants/linear_cooperative.h"

#include "memory.glsl"
#include "weights.glsl"
#include "linear_epilogue.glsl"

READ_U32X4(0, x);          // [high or low, rows, row_words]
READ_F32(5, x_scales);     // of rows
#ifdef MINIMA
READ_F32X4(7, x_sums);     // of 8 elements, of a step at a time
#endif

#if defined(QUANTISED) || defined(SCALED_HERE)
#define SCALED
#endif
#ifdef WEIGHT_f32
const uint W_HALVES = HALVES;
#else
const uint W_HALVES = 1;
#endif

const uint STEP = 32;                   // columns of k
const uint STEP_WORDS = STEP / 8;
const uint STRIDE = (STEP + 8) / 4;     // of rows in shared memory, in vectors of 4
const uint LANES = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * SUBGROUP_SIZE;
const uint TILE_ROWS = SUBGROUPS_DOWN * MATRIX_ROWS * M;
const uint TILE_COLUMNS = SUBGROUPS_ACROSS * MATRIX_COLUMNS * N;
const uint OWN_COLUMNS = TILE_COLUMNS / (1 + GATED);  // of y
const uint UNITS = STEP_WORDS * 2 / UNIT_VECTORS;     // of a weight row, in a step
const uint UNIT_LANE_VECTORS = UNIT_VECTORS / UNIT_LANES;

// Columns whose products are summed by themselves first.
#ifdef QUANTISED
const uint GROUP = GROUP_COLUMNS;
#elif defined(SCALED)
const uint GROUP = STEP;
#else
const uint GROUP = K;
#endif
const uint GROUPS = STEP / GROUP;
const uint GROUP_MATRICES = GROUP / K;
const uint GROUP_VECTORS = GROUP / 4;

shared f16vec4 tile_x[HALVES * TILE_ROWS * STRIDE];  // high, low
shared f16vec4 tile_w[W_HALVES * TILE_COLUMNS * STRIDE];
#ifdef SCALED
shared float tile_scales[GROUPS * TILE_COLUMNS];
#endif
#ifdef MINIMA
shared float tile_minima[GROUPS * TILE_COLUMNS];
shared float tile_sums[GROUPS * TILE_ROWS];  // of x
#endif
shared float result[SUBGROUPS_DOWN * SUBGROUPS_ACROSS * M * N];  // of each subgroup one matrix
const uint RESULT_ITEMS = (M * N + SUBGROUP_SIZE - 1) / SUBGROUP_SIZE;

const uint X_TOTAL = HALVES * TILE_ROWS * STEP_WORDS;
const uint X_ITEMS = (X_TOTAL + LANES - 1) / LANES;
const uint W_TOTAL = TILE_COLUMNS * UNITS * UNIT_LANES;
const uint W_ITEMS = (W_TOTAL + LANES - 1) / LANES;
const uint S_ITEMS = (TILE_ROWS + LANES - 1) / LANES;

uvec4 next_x[X_ITEMS];
Unit next_w[W_ITEMS];
uint x_first[X_ITEMS];
Row weight_rows[W_ITEMS];
#ifdef MINIMA
vec4 next_sums[S_ITEMS];
uint sums_first[S_ITEMS];
#endif

uint lane() { return gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID; }
uint item(uint i) { return i * LANES + lane(); }
uint w_unit(uint i, uint step) { return step * UNITS + item(i) / UNIT_LANES % UNITS; }

void fetch(uint step) {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) next_w[i] = load_unit(weight_rows[i], min(w_unit(i, step), row_units - 1));
  const uint word = step * STEP_WORDS + lane() % STEP_WORDS;
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) next_x[i] = load_u32x4(x, x_first[i] + word);
#ifdef MINIMA
  [[unroll]] for (uint i = 0; i < S_ITEMS; ++i) next_sums[i] = load_f32x4(x_sums, sums_first[i] + step);
#endif
}

f16vec4 halves(uint a, uint b) { return f16vec4(unpackFloat2x16(a), unpackFloat2x16(b)); }

#ifdef WEIGHT_f16
f16vec4 matrix_vector(Unit u, uint j) {
  const uvec2 pair = mix(u.word.xy, u.word.zw, bvec2(j > 0));
  return halves(pair.x, pair.y);
}
#elif defined(SCALED_HERE)
// The exponent, as in bits of a float, of the largest of the step's weights of a row, of which lanes side by side hold a unit
// each. Those of infinities and NaN, which stay what they are, do not count; and where all are smaller than 2^-79 they are not
// made as large as they could: those below 2^-110, or of f32 2^-95, lose bits.
const uint LEAST_EXPONENT = 48;
uint largest_exponent(Unit u) {
  uint largest = LEAST_EXPONENT;
  [[unroll]] for (uint j = 0; j < UNIT_VECTORS; ++j) {
    const uvec4 exponents = floatBitsToUint(unit_vector(u, j)) >> 23 & 255u;
    [[unroll]] for (uint i = 0; i < 4; ++i) largest = max(largest, mix(exponents[i], 0, exponents[i] == 255));
  }
  [[unroll]] for (uint apart = 1; apart < UNITS; apart *= 2) largest = max(largest, subgroupShuffleXor(largest, apart));
  return largest;
}
float power_of_two(uint exponent) { return uintBitsToFloat(exponent << 23); }
// Sums are smaller by this power of two, so that none of them overflows whose multiple by the scale of x does not. With the
// least exponent, their scale is still a normal float.
const uint SMALLER = 33;
#ifdef WEIGHT_f32
// The first half of weights, and what it does not hold of them. Halves of what is not 0 are not 0 and have its sign, so that
// an infinity of x times both is the same.
void to_halves(vec4 w, out f16vec4 high, out f16vec4 low) {
  if (W_HALVES == 1) {
    high = f16vec4(w);
    return;
  }
  const float least = 5.9604645e-8;  // of f16
  const vec4 cut = uintBitsToFloat(floatBitsToUint(w) & 0xffffe000u);
  const bvec4 small = lessThan(abs(w), vec4(1.2207031e-4));
  const vec4 first = mix(cut, 0.5 * w, small);
  const vec4 rest = w - first;
  high = f16vec4(mix(first, sign(w) * least, lessThan(abs(first), vec4(least))));
  low = f16vec4(mix(sign(w) * least, rest, greaterThanEqual(abs(rest), vec4(least))));  // where w is infinite, rest is NaN
}
#endif
#else
f16vec4 matrix_vector(Unit u, uint j) { return f16vec4(unit_quants(u, j)); }
#endif

void put(uint step) {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
#ifdef SCALED_HERE
    const uint exponent = largest_exponent(next_w[i]);
    const float to_half = power_of_two(127 + 127 + 14 - exponent);  // the largest becomes 2^14 to 2^15
#endif
    if (W_TOTAL % LANES != 0 && item(i) >= W_TOTAL) break;
    const uint row = item(i) / (UNIT_LANES * UNITS);
    const uint first = item(i) % UNIT_LANES * UNIT_LANE_VECTORS;  // of the unit's vectors
    const uint k4 = item(i) / UNIT_LANES % UNITS * UNIT_VECTORS + first;
    [[unroll]] for (uint j = 0; j < UNIT_LANE_VECTORS; ++j) {
#ifdef WEIGHT_f32
      f16vec4 w, low;
      to_halves(unit_vector(next_w[i], first + j) * to_half, w, low);
      if (W_HALVES == 2) tile_w[(TILE_COLUMNS + row) * STRIDE + k4 + j] = w_unit(i, step) < row_units ? low : f16vec4(0.0);
#elif defined(SCALED_HERE)
      f16vec4 w = f16vec4(unit_vector(next_w[i], first + j) * to_half);
#else
      f16vec4 w = matrix_vector(next_w[i], first + j);
#endif
#ifndef QUANTISED  // rows of which are whole steps
      w = w_unit(i, step) < row_units ? w : f16vec4(0.0);
#endif
      tile_w[row * STRIDE + k4 + j] = w;
#ifdef SCALED
      if ((k4 + j) % GROUP_VECTORS != 0) continue;
      const uint group = (k4 + j) / GROUP_VECTORS * TILE_COLUMNS + row;
#ifdef SCALED_HERE
      tile_scales[group] = power_of_two(exponent - 14 - SMALLER);
#else
      const bool second = first + j >= UNIT_VECTORS / 2;
      const vec2 scales_of_unit = unit_scales(next_w[i]);
      tile_scales[group] = mix(scales_of_unit.x, scales_of_unit.y, second);
#endif
#ifdef MINIMA
      const vec2 minima = unit_minima(next_w[i]);
      tile_minima[group] = mix(minima.x, minima.y, second);
#endif
#endif
    }
  }
  const uint word = lane() % STEP_WORDS * 2;
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    if (X_TOTAL % LANES != 0 && item(i) >= X_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + word;
    tile_x[to] = halves(next_x[i].x, next_x[i].y);
    tile_x[to + 1] = halves(next_x[i].z, next_x[i].w);
  }
#ifdef MINIMA
  [[unroll]] for (uint i = 0; i < S_ITEMS; ++i) {
    if (TILE_ROWS % LANES != 0 && item(i) >= TILE_ROWS) break;
    const vec4 v = next_sums[i];
    tile_sums[item(i)] = GROUPS == 1 ? (v.x + v.y) + (v.z + v.w) : v.x + v.y;
    if (GROUPS == 2) tile_sums[TILE_ROWS + item(i)] = v.z + v.w;
  }
#endif
}

// A sum of y: times the scale of its row of x.
float scaled_back(float sum, float scale) {
#ifdef SCALED_HERE
  // One factor after the other, in the order in which nothing between overflows or vanishes; compilers would begin with
  // the constant.
  const float larger = power_of_two(127 + SMALLER);
  precise float of_large = sum * scale;
  of_large = of_large * larger;
  precise float of_small = sum * larger;
  of_small = of_small * scale;
  return abs(sum) < 1.0 ? of_small : of_large;
#else
  return sum * scale;
#endif
}

#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>

void main() {
  const uint group = workgroup_index();
  const uint tile = group % row_tiles;
  const uint part = group / row_tiles % parts;
  const uint column0 = group / row_tiles / parts * OWN_COLUMNS;
  if (column0 >= count) return;

  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    const uint r = min(item(i) / STEP_WORDS, HALVES * TILE_ROWS - 1);
    // Rows past the end repeat the last one and are not written.
    x_first[i] = (r / TILE_ROWS * rows + min(tile * TILE_ROWS + r % TILE_ROWS, rows - 1)) * x_words;
  }
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    const uint row = min(item(i) / (UNIT_LANES * UNITS), TILE_COLUMNS - 1);
    weight_rows[i] = weight_row(min(column0 + row % OWN_COLUMNS, count - 1) + row / OWN_COLUMNS * count, row_units);
  }
#ifdef MINIMA
  [[unroll]] for (uint i = 0; i < S_ITEMS; ++i) {
    sums_first[i] = min(tile * TILE_ROWS + min(item(i), TILE_ROWS - 1), rows - 1) * (x_words / STEP_WORDS);
  }
#endif

  // A subgroup's matrices lie side by side down, and SUBGROUPS_ACROSS matrices apart across, so that partners are its own.
  const uint down = gl_SubgroupID / SUBGROUPS_ACROSS * MATRIX_ROWS;
  const uint across = gl_SubgroupID % SUBGROUPS_ACROSS;
  SUMS sums[MATRIX_ROWS * MATRIX_COLUMNS];
  [[unroll]] for (uint i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i) sums[i] = SUMS(0.0);
  const uint begin = part * part_steps;
  const uint end = min(begin + part_steps, (row_units + UNITS - 1) / UNITS);
  fetch(begin);
  for (uint step = begin; step < end; ++step) {
    barrier();
    put(step);
    barrier();
    if (step + 1 < end) fetch(step + 1);
    [[unroll]] for (uint group = 0; group < GROUPS; ++group) {
      coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> w[MATRIX_COLUMNS * GROUP_MATRICES];
#ifdef WEIGHT_f32
      coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> w_low[MATRIX_COLUMNS * GROUP_MATRICES];
#endif
#ifdef SCALED
      SUMS scales_of_w[MATRIX_COLUMNS];
#endif
#ifdef MINIMA
      SUMS minima_of_w[MATRIX_COLUMNS];
#endif
      [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
        const uint column = (across + c * SUBGROUPS_ACROSS) * N;
        [[unroll]] for (uint k = 0; k < GROUP_MATRICES; ++k) {
          const uint at = column * STRIDE + group * GROUP_VECTORS + k * (K / 4);
          coopMatLoad(w[c * GROUP_MATRICES + k], tile_w, at, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
#ifdef WEIGHT_f32
          if (W_HALVES == 2) {
            coopMatLoad(w_low[c * GROUP_MATRICES + k], tile_w, at + TILE_COLUMNS * STRIDE, STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
          }
#endif
        }
#ifdef SCALED
        coopMatLoad(scales_of_w[c], tile_scales, group * TILE_COLUMNS + column, 0, gl_CooperativeMatrixLayoutRowMajor);
#endif
#ifdef MINIMA
        coopMatLoad(minima_of_w[c], tile_minima, group * TILE_COLUMNS + column, 0, gl_CooperativeMatrixLayoutRowMajor);
#endif
      }
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> high[GROUP_MATRICES];
        coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> low[GROUP_MATRICES];
        [[unroll]] for (uint k = 0; k < GROUP_MATRICES; ++k) {
          const uint at = (down + r) * M * STRIDE + group * GROUP_VECTORS + k * (K / 4);
          coopMatLoad(high[k], tile_x, at, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
          if (HALVES == 2) {
            coopMatLoad(low[k], tile_x, at + TILE_ROWS * STRIDE, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
          }
        }
#ifdef MINIMA
        SUMS sums_of_x;
        coopMatLoad(sums_of_x, tile_sums, group * TILE_ROWS + (down + r) * M, 0, gl_CooperativeMatrixLayoutColumnMajor);
#endif
        [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
          const uint at = r * MATRIX_COLUMNS + c;
#ifdef SCALED
          SUMS sum = SUMS(0.0);
#else
          SUMS sum = sums[at];
#endif
          [[unroll]] for (uint k = 0; k < GROUP_MATRICES; ++k) {
#ifdef WEIGHT_f32
            if (W_HALVES == 2) sum = coopMatMulAdd(high[k], w_low[c * GROUP_MATRICES + k], sum);
#endif
            if (HALVES == 2) sum = coopMatMulAdd(low[k], w[c * GROUP_MATRICES + k], sum);
            sum = coopMatMulAdd(high[k], w[c * GROUP_MATRICES + k], sum);
          }
#ifdef SCALED
          sum = sums[at] + sum * scales_of_w[c];
#endif
#ifdef MINIMA
          sum = sum - sums_of_x * minima_of_w[c];
#endif
          sums[at] = sum;
        }
      }
    }
  }

  const uint own = gl_SubgroupID * M * N;
  [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
    [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS / (1 + GATED); ++c) {
      float partners[RESULT_ITEMS];
      if (GATED == 1) {
        barrier();
        coopMatStore(sums[r * MATRIX_COLUMNS + c + MATRIX_COLUMNS / 2], result, own, N, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        [[unroll]] for (uint j = 0; j < RESULT_ITEMS; ++j) {
          partners[j] = result[own + min(j * SUBGROUP_SIZE + gl_SubgroupInvocationID, M * N - 1)];
        }
      }
      barrier();
      coopMatStore(sums[r * MATRIX_COLUMNS + c], result, own, N, gl_CooperativeMatrixLayoutRowMajor);
      barrier();
      [[unroll]] for (uint j = 0; j < RESULT_ITEMS; ++j) {
        const uint i = j * SUBGROUP_SIZE + gl_SubgroupInvocationID;
        const uint t = tile * TILE_ROWS + (down + r) * M + i / N;
        const uint column = column0 + (across + c * SUBGROUPS_ACROSS) * N + i % N;
        if (i >= M * N || t >= rows || column >= count) continue;
        const float scale = load_f32(x_scales, t);
        const float sum = scaled_back(result[own + i], scale);
        const float partner = GATED == 1 ? scaled_back(partners[j], scale) : 0.0;
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
