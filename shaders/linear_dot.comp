#version 450
// variant ACCESS: storage texel
// variant WEIGHT: q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
// variant X: floats bytes
//
// y[t, n] = act(sum_k x[t, k] W[n, k] + bias[n]) + residual[t, n], for one to eight rows t and quantised weights
// (engine/ops/linear.cpp), by dot products of bytes: of x two an element (row_bytes.glsl), of W the quants. X_floats: a row
// that each workgroup makes bytes of in shared memory, normalised where HAS_NORM; X_bytes: COLUMNS rows that linear_bytes.comp
// made them of.
// A workgroup goes through blocks of ROWS weight rows for each of its subgroups. Lanes of a subgroup go along k, a unit each,
// in neighbouring words; the unit after it is on its way meanwhile. For 32 elements of a row of weights a lane reads 16 to 32
// bytes, and 72 or 80 of each row of x, and does 4 * 16 multiplications in 16 products.
// What a row gives does not depend on COLUMNS or ROWS: its lanes add up the same units in the same order.
// Needs full subgroups of SUBGROUP_SIZE.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_spirv_intrinsics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
layout(local_size_x_id = 0) in;
#include "constants/linear_dot.h"

#include "memory.glsl"
#define UNIT_BYTES
#include "weights.glsl"
#include "linear_epilogue.glsl"

// Of four signed bytes each. OpSDot, which compilers have had under this name before they had one of their own.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot_bytes(uint a, uint b, spirv_literal int four_bytes);

int dot_bytes(uvec4 a, uvec4 b) {
  return dot_bytes(a.x, b.x, 0) + dot_bytes(a.y, b.y, 0) + dot_bytes(a.z, b.z, 0) + dot_bytes(a.w, b.w, 0);
}

const uint X_PARTS = UNIT_PARTS;
const uint X_BLOCK = GROUP_COLUMNS;
const uint X_BLOCKS = X_WORDS * 16 / X_BLOCK;
const uint SUMS = ROWS * (1 + GATED);
const uint SUBGROUPS = gl_WorkGroupSize.x / SUBGROUP_SIZE;
const uint RESULTS = COLUMNS * ROWS;  // of a subgroup
const uint RESULTS_AT_A_TIME = RESULTS < SUBGROUP_SIZE ? RESULTS : SUBGROUP_SIZE;

#ifdef X_floats
#define SUBGROUP_1
#include "reduce.glsl"
#include "row_bytes.glsl"

READ_F32X4(0, x);
READ_F32X4(5, norm_weight);

shared uvec4 x_bytes[2 * X_WORDS];
shared uvec2 x_blocks[X_BLOCKS];

// Makes bytes of the row; returns what its products are still to be multiplied by.
float fetch_row() {
  const uint lane = gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID;
  const uint lanes = SUBGROUPS * SUBGROUP_SIZE;
  float squares = 0.0;
  for (uint begin = 0; begin < X_BLOCKS * BLOCK_LANES; begin += lanes) {
    const uint item = begin + lane;
    const uint block = min(item / BLOCK_LANES, X_BLOCKS - 1);
    const bool within = item / BLOCK_LANES < X_BLOCKS;
    vec4 v[LANE_VECTORS];
    uint high[LANE_VECTORS], low[LANE_VECTORS];
    uvec2 made;
    [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
      const uint vector = block * BLOCK_VECTORS + i * BLOCK_LANES + item % BLOCK_LANES;
      v[i] = load_f32x4(x, vector);
      if (HAS_NORM == 1) {
        squares += within ? dot(v[i], v[i]) : 0.0;
        v[i] *= load_f32x4(norm_weight, vector);
      }
    }
    make_bytes(v, high, low, made);
    if (within) {
      [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
        const uint vector = block * BLOCK_VECTORS + i * BLOCK_LANES + item % BLOCK_LANES;
        const uint to = word_place(vector / 4, X_WORDS);
        x_bytes[to][vector % 4] = high[i];
        x_bytes[X_WORDS + to][vector % 4] = low[i];
      }
      if (item % BLOCK_LANES == 0) x_blocks[block_place(block, X_BLOCKS)] = made;
    }
  }
  if (HAS_NORM == 1) return inversesqrt(workgroup_sum(squares) / float(X_WORDS * 16) + norm_eps);
  return 1.0;
}

uvec4 x_word(uint t, uint i) { return x_bytes[i]; }
uvec2 x_block(uint t, uint i) { return x_blocks[i]; }
#else
READ_U32X4(0, x_bytes);
READ_U32X2(5, x_blocks);

float fetch_row() { return 1.0; }
uvec4 x_word(uint t, uint i) { return load_u32x4(x_bytes, t * 2 * X_WORDS + i); }
uvec2 x_block(uint t, uint i) { return load_u32x2(x_blocks, t * X_BLOCKS + i); }
#endif

Row weight_rows[SUMS];
Unit next_units[SUMS];
Scales next_scales[SUMS];
float sums[COLUMNS * SUMS];

void find_rows(uint column0) {
  // Rows past the end repeat the last one and are not written.
  [[unroll]] for (uint r = 0; r < SUMS; ++r) {
    weight_rows[r] = weight_row(min(column0 + r % ROWS, count - 1) + r / ROWS * count, row_units);
  }
}

void fetch(uint unit) {
  const uint at = min(unit, row_units - 1);
  [[unroll]] for (uint r = 0; r < SUMS; ++r) {
    next_units[r] = load_bits(weight_rows[r], at);
    next_scales[r] = load_scales(weight_rows[r], at);
  }
}

// One step of a sum: `steps` steps of x times quants.
float add_steps(int steps, float step_size, float scale, float sum) {
  precise float product = float(steps) * step_size;
  precise float result = fma(product, scale, sum);
  return result;
}

// Multiplies the units that were fetched, and fetches those `next` to them. Lanes past the end multiply the last ones, for
// nothing.
void multiply(uint unit, uint next) {
  const bool within = unit < row_units;
  const uint at = min(unit, row_units - 1);
  uvec4 quants[SUMS * UNIT_PARTS];
  vec2 scales[SUMS];
#ifdef MINIMA
  vec2 minima[SUMS];
#endif
  [[unroll]] for (uint r = 0; r < SUMS; ++r) {
    Unit u = next_units[r];
    scale_unit(u, next_scales[r], at);
    [[unroll]] for (uint p = 0; p < UNIT_PARTS; ++p) quants[r * UNIT_PARTS + p] = unit_bytes(u, p);
    scales[r] = vec2(u.scale);
#ifdef MINIMA
    minima[r] = -vec2(u.minimum);
#endif
  }
  fetch(next);
  [[unroll]] for (uint c = 0; c < COLUMNS; ++c) {
    const uint t = min(gl_WorkGroupID.y * COLUMNS + c, rows - 1);
    uvec4 high[UNIT_PARTS], low[UNIT_PARTS];
    [[unroll]] for (uint p = 0; p < UNIT_PARTS; ++p) {
      high[p] = x_word(t, p * row_units + at);
      low[p] = x_word(t, X_WORDS + p * row_units + at);
    }
#ifdef GROUPS_OF_16
    const uvec2 blocks[2] = {x_block(t, at), x_block(t, row_units + at)};
    [[unroll]] for (uint r = 0; r < SUMS; ++r) {
      float sum = sums[c * SUMS + r];
      [[unroll]] for (uint p = 0; p < 2; ++p) {
        const uvec4 q = quants[r * 2 + p];
        const float step_size = uintBitsToFloat(blocks[p].x);
        const int of_x = int(blocks[p].y);
        sum = add_steps(dot_bytes(q, high[p]) * 256 + dot_bytes(q, low[p]) - QUANT_ZERO * of_x, step_size, scales[r][p], sum);
#ifdef MINIMA
        sum = add_steps(of_x, step_size, minima[r][p], sum);
#endif
      }
      sums[c * SUMS + r] = within ? sum : sums[c * SUMS + r];
    }
#else
    const uvec2 block = x_block(t, UNIT_PARTS == 1 ? at / 2 : at);
    const float step_size = uintBitsToFloat(block.x);
    const int of_x = int(block.y);
    [[unroll]] for (uint r = 0; r < SUMS; ++r) {
      int of_high = 0, of_low = 0;
      [[unroll]] for (uint p = 0; p < UNIT_PARTS; ++p) {
        of_high += dot_bytes(quants[r * UNIT_PARTS + p], high[p]);
        of_low += dot_bytes(quants[r * UNIT_PARTS + p], low[p]);
      }
      float sum = sums[c * SUMS + r];
      sum = add_steps(of_high * 256 + of_low - QUANT_ZERO * of_x, step_size, scales[r].x, sum);
#ifdef MINIMA
      sum = add_steps(of_x, step_size, minima[r].x, sum);
#endif
      sums[c * SUMS + r] = within ? sum : sums[c * SUMS + r];
    }
#endif
  }
}

void main() {
  const uint lane = gl_SubgroupInvocationID;
  const uint block_rows = ROWS * SUBGROUPS;
  uint column0 = gl_WorkGroupID.x * block_rows + gl_SubgroupID * ROWS;
  find_rows(column0);
  fetch(lane);
  const float scale = fetch_row();
  barrier();

  // As often for all lanes of the workgroup.
  for (uint begin = gl_WorkGroupID.x * block_rows; begin < count; begin += gl_NumWorkGroups.x * block_rows) {
    column0 = begin + gl_SubgroupID * ROWS;
    [[unroll]] for (uint i = 0; i < COLUMNS * SUMS; ++i) sums[i] = 0.0;
    for (uint unit = 0; unit < row_units; unit += SUBGROUP_SIZE) {
      const bool last = unit + SUBGROUP_SIZE >= row_units;
      if (last) find_rows(column0 + gl_NumWorkGroups.x * block_rows);  // of the next block, whose first units are fetched
      multiply(unit + lane, last ? lane : unit + lane + SUBGROUP_SIZE);
    }

    // Result i is of column i / ROWS and row i % ROWS.
    [[unroll]] for (uint first_result = 0; first_result < RESULTS; first_result += RESULTS_AT_A_TIME) {
      float own = 0.0, own_partner = 0.0;
      [[unroll]] for (uint i = 0; i < RESULTS_AT_A_TIME; ++i) {
        const uint sum = min(first_result + i, RESULTS - 1) / ROWS * SUMS + min(first_result + i, RESULTS - 1) % ROWS;
        const float total = subgroupAdd(sums[sum]);
        own = lane == i ? total : own;
        if (GATED == 1) {
          const float partner = subgroupAdd(sums[sum + ROWS]);
          own_partner = lane == i ? partner : own_partner;
        }
      }
      const uint t = gl_WorkGroupID.y * COLUMNS + (first_result + lane) / ROWS;
      const uint column = column0 + (first_result + lane) % ROWS;
      if (lane < RESULTS_AT_A_TIME && first_result + lane < RESULTS && column < count && t < rows) {
        write_y(t, first + column, own * scale, own_partner * scale);
      }
    }
  }
}
