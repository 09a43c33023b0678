#version 450
// variant ACCESS: storage
// variant KV: f32 f16
// needs GL_KHR_cooperative_matrix
//
// Attention for many query rows by cooperative matrices of f16 with sums of f32: rows and tiles of keys as in
// attention_tiles.comp, scores = q k^T and sums += weights v as products of matrices. What is multiplied comes as two halves,
// of which the second is what the first leaves of it: q, the weights, and keys and values that are not f16 already. Each pair is
// multiplied but that of the two seconds, which is no more than 2^-22 of the product; where it is tuned so, the firsts alone are
// (HALVES). Rows of q, keys, and value rows are scaled by a power of two of their own, so that their largest element becomes
// 2^14 to 2^15: nothing overflows, and an element is off by no more than 2^-22 of itself, or 2^-39 of the largest of its row
// where that is more. The powers of value rows become part of the weights, which are scaled for each row by what is largest so
// far; so a row depends on no key that it does not see. That largest shrinks as the sums do where a score is larger than
// those before, so that sums in its units stay as small as their number of terms.
//
// A workgroup's subgroups have MATRIX_ROWS x KEY_MATRICES matrices of M x N scores each, and MATRIX_ROWS x VALUE_MATRICES of
// sums. SHARE lanes side by side fetch a key or a value row, the next tile already while this one is multiplied; KEYS / 8 of
// them make the weights of a row out of its scores, 8 each, in place: both halves of a weight take as much as its score.
// Rows in shared memory are 16 bytes apart from each other besides, so that they lie in different banks.
//
// For n visible keys a workgroup reads n (d + dv) elements of memory for 2 n (d + dv) ROWS flops, with caches of f16 ROWS a byte.
// The matrix units do them twice, three times with caches of f32, or once with HALVES 1. For a tile of keys subgroups read of
// shared memory 2 HALVES ROWS SUBGROUPS_ACROSS (d + KEYS) bytes of rows, and 2 KEYS SUBGROUPS_DOWN (d + dv) of keys and values,
// twice that of caches of f32: 32 rows of 128 and 64 keys by 2 x 2 subgroups 112 KiB for 2.1 Mflop of the units, 18 a byte.
// Scores are written and read once, 8 ROWS KEYS bytes, and weights written, 2 HALVES ROWS KEYS.
//
// Where an element of q or of a key is not finite, it is 0 in the matrices, and scores that it has part in are computed again
// one by one. What is not finite of values is 0 there, too, and added where weights are not 0: matrices of ones say where.
// Needs full subgroups of SUBGROUP_SIZE, at least SHARE, that shuffle.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#pragma use_vulkan_memory_model
layout(local_size_x_id = 0) in;
#include "constants/attention_cooperative.h"
#define VECTOR_4
#define SHARED_PLACES
#include "memory.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32X4(5, y);

#ifdef KV_f16
#define Word uvec2  // of a key or a value row: four elements
#define load_word load_same_u32x2
const uint KV_HALVES = 1;
#else
#define Word vec4
#define load_word load_f32x4
const uint KV_HALVES = HALVES;
#endif

const uint SHARE = 8;
const uint LANES = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * SUBGROUP_SIZE;
const uint ROWS = SUBGROUPS_DOWN * MATRIX_ROWS * M;
const uint Q_WORDS = (Q_LENGTH * 4 + K - 1) / K * (K / 4);  // of whole matrices, the rest zeros
const uint V_WORDS = (V_LENGTH * 4 + N - 1) / N * (N / 4);
const uint Q_STRIDE = Q_WORDS + 2;
const uint SCORE_STRIDE = KEYS / 4 + 1;
const uint LOW_WEIGHTS = KEYS / 8;  // where the second halves of a row's weights begin

const uint AT_A_TIME = LANES / SHARE;  // keys, value rows, or rows of q
const uint ROUNDS = (KEYS + AT_A_TIME - 1) / AT_A_TIME;
const uint Q_ROUNDS = (ROWS + AT_A_TIME - 1) / AT_A_TIME;

const uint ROW_LANES = KEYS / 8;  // that make weights of a row
const uint PASS_ROWS = LANES / ROW_LANES;  // at a time
const uint PASSES = (ROWS + PASS_ROWS - 1) / PASS_ROWS;

const uint MATRIX_WORDS = M * N / 4;
const uint RESULT_ITEMS = (MATRIX_WORDS + SUBGROUP_SIZE - 1) / SUBGROUP_SIZE;

shared f16vec4 tile_q[HALVES * ROWS * Q_STRIDE];         // first halves of all rows, then second ones
shared f16vec4 tile_kv[KV_HALVES * KEYS * KV_STRIDE];    // likewise
shared uvec4 tile_scores[SCORE_WORDS];                   // floats; first and second halves of weights; floats of y at the end
shared float row_factors[ROWS];                          // by which what was summed before is multiplied
shared float q_scales[ROWS];
#ifndef KV_f16
shared float key_scales[KEYS];
shared float value_scales[KEYS];
#endif
shared uint broken_scores;  // whether an element of q or of a key was not finite
shared uint broken_values;  // and of values
shared uint rescaled;       // the last tile, plus 1, that has a factor other than 1

uint lane;
uint kv_head;
uint first_key;  // of the memory
uint end;        // of the keys that any row sees

// Where a key of the memory lies, and its value.
uint place_of(uint key) { return TABLED == 2 ? uint(load_i32(places, key)) : first_key + key; }

uint q_place(uint row) {
  const uint group_heads = heads / kv_heads;
  return row / group_heads * (q_row / 4) + (kv_head * group_heads + row % group_heads) * Q_LENGTH;
}

#include "attention_halves.glsl"
#include "attention_broken.glsl"

#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define LEFT coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>

void main() {
  lane = gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID;
  const uint group_heads = heads / kv_heads;
  const uint tiles = (memory_rows * group_heads + ROWS - 1) / ROWS;  // of rows of a memory
  const uint memories = rows / memory_rows;
  const uint group = workgroup_index();
  if (group >= tiles * memories * kv_heads) return;
  kv_head = group / (tiles * memories);
  const uint memory = group / tiles % memories;
  first_key = CACHED == 1 ? 0 : memory * key_rows;
  // The last rows, which see the most keys where attention is causal, begin first.
  const uint first = (tiles - 1 - group % tiles) * ROWS;
  const uint row_count = min(ROWS, memory_rows * group_heads - first);
  const uint first_row = memory * memory_rows + first / group_heads;
  const uint last_row = memory * memory_rows + (first + row_count - 1) / group_heads;
  const uint first_place = memory * memory_rows * (q_row / 4);

  if (lane == 0) broken_scores = broken_values = rescaled = 0;
  // Which row an element of a matrix of sums is in, that its factor is found by.
  for (uint i = lane; i < MATRIX_WORDS; i += LANES) tile_scores[i] = uvec4(floatBitsToUint(float(i / (N / 4))));
  barrier();
  SUMS element_rows;
  coopMatLoad(element_rows, tile_scores, 0, N / 4, gl_CooperativeMatrixLayoutRowMajor);
  put_q(first_place, first, row_count);

  // Every row goes through the keys that any row sees.
  uint begin = visible_keys(first_row).x;
  end = visible_keys(last_row).y;
  if (OWN_POSITIONS == 1) {  // in any order
    begin = key_rows;
    for (uint t = first_row; t <= last_row; ++t) {
      const uvec2 of_row = visible_keys(t);
      if (of_row.x < of_row.y) begin = min(begin, of_row.x);
      end = max(end, of_row.y);
    }
  }
  begin = begin / KEYS * KEYS;  // so that what a row gives does not depend on the others

  // Of the rows whose weights a lane makes, eight keys of each.
  const uint own = lane % ROW_LANES;
  uint t[PASSES];
  uint head[PASSES];
  uvec2 range[PASSES];
  float largest[PASSES];
  float total[PASSES];  // of the lane's own keys
  float peak[PASSES];   // the largest weight yet times its value row's power of two: sums count in its scale_exponent()
  uint shown[PASSES];   // a bit for each own key whose weight is not 0
  [[unroll]] for (uint p = 0; p < PASSES; ++p) {
    const uint row = first + min(p * PASS_ROWS + lane / ROW_LANES, row_count - 1);
    t[p] = memory * memory_rows + row / group_heads;
    head[p] = kv_head * group_heads + row % group_heads;
    range[p] = visible_keys(t[p]);
    largest[p] = kMasked;
    total[p] = 0.0;
    peak[p] = 0.0;
  }

  const uint down = gl_SubgroupID / SUBGROUPS_ACROSS * MATRIX_ROWS;
  const uint across = gl_SubgroupID % SUBGROUPS_ACROSS;
  SUMS sums[MATRIX_ROWS * VALUE_MATRICES];
  [[unroll]] for (uint i = 0; i < MATRIX_ROWS * VALUE_MATRICES; ++i) sums[i] = SUMS(0.0);

  if (begin < end) fetch_keys(begin);
  for (uint tile = begin; tile < end; tile += KEYS) {
    put(false);
    barrier();
    fetch_values(tile);
    {
      SUMS scores[MATRIX_ROWS * KEY_MATRICES];
      [[unroll]] for (uint i = 0; i < MATRIX_ROWS * KEY_MATRICES; ++i) scores[i] = SUMS(0.0);
      for (uint word = 0; word < Q_WORDS; word += K / 4) {
        RIGHT high_keys[KEY_MATRICES];
        RIGHT low_keys[KEY_MATRICES];
        [[unroll]] for (uint c = 0; c < KEY_MATRICES; ++c) {
          // Where there are too few for all subgroups, some make the last ones again.
          const uint at = min((across + c * SUBGROUPS_ACROSS) * N, KEYS - N) * KV_STRIDE + word;
          coopMatLoad(high_keys[c], tile_kv, at, KV_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
          if (KV_HALVES == 2) {
            coopMatLoad(low_keys[c], tile_kv, KEYS * KV_STRIDE + at, KV_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
          }
        }
        [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
          const uint at = (down + r) * M * Q_STRIDE + word;
          LEFT high, low;
          coopMatLoad(high, tile_q, at, Q_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
          if (HALVES == 2) coopMatLoad(low, tile_q, ROWS * Q_STRIDE + at, Q_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
          [[unroll]] for (uint c = 0; c < KEY_MATRICES; ++c) {
            SUMS sum = scores[r * KEY_MATRICES + c];
            if (HALVES == 2) sum = coopMatMulAdd(low, high_keys[c], sum);
            if (KV_HALVES == 2) sum = coopMatMulAdd(high, low_keys[c], sum);
            scores[r * KEY_MATRICES + c] = coopMatMulAdd(high, high_keys[c], sum);
          }
        }
      }
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        [[unroll]] for (uint c = 0; c < KEY_MATRICES; ++c) {
          const uint column = (across + c * SUBGROUPS_ACROSS) * N;
          if (column >= KEYS) continue;
          coopMatStore(scores[r * KEY_MATRICES + c], tile_scores, (down + r) * M * SCORE_STRIDE + column / 4,
                       SCORE_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
      }
    }
    barrier();
    if (broken_scores != 0) {
      replace_broken_scores(tile, first_place, first, row_count);
      barrier();
    }
    put(true);
#ifndef KV_f16
    barrier();
#endif

    [[unroll]] for (uint p = 0; p < PASSES; ++p) {
      const uint row = min(p * PASS_ROWS + lane / ROW_LANES, ROWS - 1);
      const uint at = row * SCORE_STRIDE + own;
      float weights[8];
      const float q_scale = q_scales[row];
      float new_largest = kMasked;
      [[unroll]] for (uint i = 0; i < 8; ++i) {
        const uint key = tile + 8 * own + i;
        const float product = uintBitsToFloat(tile_scores[row * SCORE_STRIDE + 2 * own + i / 4][i % 4]);
#ifdef KV_f16
        const float scaled = product * q_scale;
#else
        // The smaller one first: compilers would multiply the scales, of which either alone may be what keeps the other's
        // product from overflowing.
        const float key_scale = key_scales[8 * own + i];
        precise float scaled = product * min(q_scale, key_scale);
        scaled = scaled * max(q_scale, key_scale);
#endif
        const bool seen = key >= range[p].x && key < range[p].y;
        weights[i] = seen ? finish_score(scaled, head[p], t[p], key) : kMasked;
        new_largest = max(new_largest, weights[i]);
      }
      [[unroll]] for (uint distance = 1; distance < ROW_LANES; distance *= 2) {
        new_largest = max(new_largest, subgroupShuffleXor(new_largest, distance));
      }
      new_largest = max(new_largest, largest[p]);
      const float rescale = exp(largest[p] - new_largest);
      largest[p] = new_largest;
      total[p] *= rescale;
      shown[p] = 0;
      [[unroll]] for (uint i = 0; i < 8; ++i) {
        weights[i] = weights[i] == kMasked ? 0.0 : exponential(weights[i] - new_largest);
        total[p] += weights[i];
        if (weights[i] != 0.0) shown[p] |= 1u << i;
      }
#ifdef KV_f16
      const float factor = rescale;
      const float up = 16384.0;
#else
      float most = 0.0;
      [[unroll]] for (uint i = 0; i < 8; ++i) {
        weights[i] *= value_scales[8 * own + i];
        most = max(most, weights[i]);
      }
      [[unroll]] for (uint distance = 1; distance < ROW_LANES; distance *= 2) {
        most = max(most, subgroupShuffleXor(most, distance));
      }
      const uint old_unit = scale_exponent(peak[p]);
      peak[p] = max(peak[p] * rescale, most);
      const uint unit = scale_exponent(peak[p]);
      const float up = inverse_of(unit);
      const float factor = rescale * ratio_of(old_unit, unit);
#endif
      uvec4 high, low;
      [[unroll]] for (uint half_word = 0; half_word < 2; ++half_word) {
        const vec4 four = vec4(weights[4 * half_word], weights[4 * half_word + 1], weights[4 * half_word + 2],
                               weights[4 * half_word + 3]) * up;
        const uvec2 bits = pack_halves(four);
        const uvec2 rest = pack_halves(four - unpack_halves(bits));
        if (half_word == 0) {
          high.xy = bits;
          low.xy = rest;
        } else {
          high.zw = bits;
          low.zw = rest;
        }
      }
      subgroupBarrier();  // its other lanes have read the row's scores
      if (p * PASS_ROWS + lane / ROW_LANES < ROWS) {
        tile_scores[at] = high;
        if (HALVES == 2) tile_scores[at + LOW_WEIGHTS] = low;
        if (own == 0) row_factors[row] = factor;
        if (factor != 1.0) rescaled = tile + 1;
      }
    }
    barrier();

    if (tile + KEYS < end) fetch_keys(tile + KEYS);
    if (rescaled == tile + 1) {
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        SUMS factors;
        for (uint i = 0; i < factors.length(); ++i) factors[i] = row_factors[(down + r) * M + uint(element_rows[i])];
        [[unroll]] for (uint c = 0; c < VALUE_MATRICES; ++c) {
          sums[r * VALUE_MATRICES + c] = sums[r * VALUE_MATRICES + c] * factors;
        }
      }
    }
    for (uint k = 0; k < KEYS; k += K) {
      LEFT high[MATRIX_ROWS];
      LEFT low[MATRIX_ROWS];
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        const uint at = (down + r) * M * SCORE_STRIDE + k / 8;
        coopMatLoad(high[r], tile_scores, at, SCORE_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        if (HALVES == 2) {
          coopMatLoad(low[r], tile_scores, at + LOW_WEIGHTS, SCORE_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
      }
      [[unroll]] for (uint c = 0; c < VALUE_MATRICES; ++c) {
        const uint at = k * KV_STRIDE + min((across + c * SUBGROUPS_ACROSS) * (N / 4), V_WORDS - N / 4);
        RIGHT high_values, low_values;
        coopMatLoad(high_values, tile_kv, at, KV_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        if (KV_HALVES == 2) {
          coopMatLoad(low_values, tile_kv, KEYS * KV_STRIDE + at, KV_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
          SUMS sum = sums[r * VALUE_MATRICES + c];
          if (HALVES == 2) sum = coopMatMulAdd(low[r], high_values, sum);
          if (KV_HALVES == 2) sum = coopMatMulAdd(high[r], low_values, sum);
          sums[r * VALUE_MATRICES + c] = coopMatMulAdd(high[r], high_values, sum);
        }
      }
    }

    if (broken_values != 0) {
      barrier();
      [[unroll]] for (uint p = 0; p < PASSES; ++p) mark_weights(p * PASS_ROWS + lane / ROW_LANES, shown[p]);
      // How many infinities, or NaN, which count as both, each element has: first of one sign, then of the other.
      for (uint minus = 0; minus < 2; ++minus) {
        mark_values(tile, minus);
        barrier();
        [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
          [[unroll]] for (uint c = 0; c < VALUE_MATRICES; ++c) {
            SUMS count = SUMS(0.0);
            for (uint k = 0; k < KEYS; k += K) {
              LEFT weights;
              RIGHT ones;
              coopMatLoad(weights, tile_scores, (down + r) * M * SCORE_STRIDE + k / 8, SCORE_STRIDE,
                          gl_CooperativeMatrixLayoutRowMajor);
              coopMatLoad(ones, tile_kv,
                          k * KV_STRIDE + min((across + c * SUBGROUPS_ACROSS) * (N / 4), V_WORDS - N / 4), KV_STRIDE,
                          gl_CooperativeMatrixLayoutRowMajor);
              count = coopMatMulAdd(weights, ones, count);
            }
            for (uint i = 0; i < count.length(); ++i) {
              if (count[i] > 0.0) sums[r * VALUE_MATRICES + c][i] += minus == 1 ? -kInfinity : kInfinity;
            }
          }
        }
        barrier();
      }
    }
    barrier();  // before the next tile overwrites this one
  }

  [[unroll]] for (uint p = 0; p < PASSES; ++p) {
    const uint row = p * PASS_ROWS + lane / ROW_LANES;
    float of_row = total[p];
    [[unroll]] for (uint distance = 1; distance < ROW_LANES; distance *= 2) {
      of_row += subgroupShuffleXor(of_row, distance);
    }
#ifdef KV_f16
    const float back = 1.0 / 16384.0;
#else
    const float back = power_of_two(scale_exponent(peak[p]));
#endif
    // No key at all yields zeros.
    if (own == 0 && row < ROWS) row_factors[row] = of_row == 0.0 ? 0.0 : back / of_row;
  }

  const uint own_words = gl_SubgroupID * MATRIX_WORDS;
  [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
    [[unroll]] for (uint c = 0; c < VALUE_MATRICES; ++c) {
      barrier();
      coopMatStore(sums[r * VALUE_MATRICES + c], tile_scores, own_words, N / 4, gl_CooperativeMatrixLayoutRowMajor);
      barrier();
      [[unroll]] for (uint j = 0; j < RESULT_ITEMS; ++j) {
        const uint i = j * SUBGROUP_SIZE + gl_SubgroupInvocationID;
        const uint row = (down + r) * M + i / (N / 4);
        const uint word = (across + c * SUBGROUPS_ACROSS) * (N / 4) + i % (N / 4);
        if (i >= MATRIX_WORDS || row >= row_count || word >= V_LENGTH) continue;
        const uint of_t = memory * memory_rows + (first + row) / group_heads;
        const uint of_head = kv_head * group_heads + (first + row) % group_heads;
        y[(of_t * heads + of_head) * V_LENGTH + word] = uintBitsToFloat(tile_scores[own_words + i]) * row_factors[row];
      }
    }
  }
}
