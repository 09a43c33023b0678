#version 450
// variant ACCESS: storage
// needs GL_KHR_cooperative_matrix
//
// Convolution as a product of matrices, as in conv_matrix.comp, by cooperative matrices of f16 (engine/ops/conv_cooperative.cpp).
// x comes as two halves, channels side by side (conv_halves.comp), and f32 weights as two halves as well: high high, high
// low and low high are multiplied, with sums in f32; weights of f16 have one (W_HALVES), and where it is tuned so, so has x.
// Halves of a place are multiples of a power of two of its own; those under a kernel are made multiples of the largest of
// theirs on their way into shared memory. A row of weights has a power of two as well, and sums are multiplied by both at
// the end. So an element of x is off by no more than 2^-22 of itself, or 2^-38 of the largest under the kernel where that is
// more, and a weight by as much of its row's.
//
// What is not finite, of x or of weights, is 0 in these products. A workgroup that has some of it in its pixels' kernels or its
// rows makes products of marks first, 0 and 1, which count the infinities of either sign and the NaN that a sum has part in;
// sums then begin with what these make together. That takes eight times as many steps of one product each.
//
// A workgroup makes a tile of output channels and pixels; its subgroups have MATRIX_ROWS x MATRIX_COLUMNS matrices of
// M x N sums each. A step of 32 k is 64 W_HALVES TILE_ROWS bytes of weights and 64 X_HALVES TILE_COLUMNS of x, of which four
// lanes read 64 bytes side by side of each row, or pixel, for 64 TILE_ROWS TILE_COLUMNS flops, done X_HALVES + W_HALVES - 1
// times. k goes through the taps and through the words of 8 channels of each. Rows in shared memory are 8 elements apart from
// each other besides, so that they lie in different banks.
// Workgroups as in conv_matrix.comp. Needs full subgroups of SUBGROUP_SIZE.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#pragma use_vulkan_memory_model
layout(local_size_x_id = 0) in;
#include "constants/conv_cooperative.h"
#include "constants/halves.h"

#include "conv_pixels.glsl"

READ_U32X4(0, x);  // [high or low, picture, place, group] words
READ_U32X4(1, w);  // [high or low, group, output] rows of words
READ_I32(5, x_exponents);
READ_I32(6, w_exponents);

const uint STEP_WORDS = 4;          // of 8 elements of k
const uint STRIDE = (32 + 8) / 4;   // of rows in shared memory, in vectors of 4
const uint LANES = SUBGROUPS_DOWN * SUBGROUPS_ACROSS * SUBGROUP_SIZE;
const uint TILE_ROWS = SUBGROUPS_DOWN * MATRIX_ROWS * M;
const uint TILE_COLUMNS = SUBGROUPS_ACROSS * MATRIX_COLUMNS * N;
const int kOutside = -1000;  // so much smaller than all exponents that nothing is left
const float kSome = kMostMarks;

shared f16vec4 tile_w[W_HALVES * TILE_ROWS * STRIDE];
shared f16vec4 tile_x[X_HALVES * TILE_COLUMNS * STRIDE];
shared int exponents[STEP_WORDS * TILE_COLUMNS];  // the largest under a pixel's kernel, as four lanes find them
shared float result[SUBGROUPS_DOWN * SUBGROUPS_ACROSS * M * N];  // and first of all, whether something is not finite
const uint RESULT_ITEMS = (M * N + SUBGROUP_SIZE - 1) / SUBGROUP_SIZE;

const uint W_TOTAL = W_HALVES * TILE_ROWS * STEP_WORDS;
const uint W_ITEMS = (W_TOTAL + LANES - 1) / LANES;
const uint X_TOTAL = TILE_COLUMNS * STEP_WORDS;
const uint X_ITEMS = (X_TOTAL + LANES - 1) / LANES;

Source sources[X_ITEMS];  // of the pixels that the lane gathers, as places in all pictures
int column_exponents[X_ITEMS];
uint w_first[W_ITEMS];
bool any_broken;
uint tap;     // of the lane's word of the next step
uint vector;  // of that tap's words
uvec4 next_w[W_ITEMS];
uvec4 next_high[X_ITEMS];
uvec4 next_low[X_ITEMS];
int next_exponents[X_ITEMS];

uint lane() { return gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID; }
uint item(uint i) { return i * LANES + lane(); }
uint step_word() { return lane() % STEP_WORDS; }  // of all items of a lane
uint x_column(uint i) { return min(item(i) / STEP_WORDS, TILE_COLUMNS - 1); }

// The place in all pictures that lies under tap `k`, and whether there is one.
bool find_place(Source s, uint k, out uint place) {
  const bool inside = find_tap(s, k, place);
  if (!inside) place = 0;  // every buffer holds a first one
  return inside;
}

int finite_exponent(int exponent) { return exponent >= kBrokenHalves / 2 ? exponent - kBrokenHalves : exponent; }

void fetch(uint step, uint group) {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) next_w[i] = load_u32x4(w, w_first[i] + step * STEP_WORDS);
  const uint lows = pictures * in_size[0] * in_size[1] * in_size[2] * groups * channel_words;
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    uint place;
    const bool inside = find_place(sources[i], tap, place);
    const uint of_group = place * groups + group;
    const uint at = of_group * channel_words + vector;
    next_high[i] = load_u32x4(x, at);
    if (X_HALVES == 2) next_low[i] = load_u32x4(x, lows + at);
    const int exponent = finite_exponent(load_i32(x_exponents, of_group));
    next_exponents[i] = inside ? exponent : kOutside;
  }
}

void start(uint step, uint group) {
  tap = (step * STEP_WORDS + step_word()) / channel_words;
  vector = (step * STEP_WORDS + step_word()) % channel_words;
  fetch(step, group);
}

void advance(uint step, uint group) {
  tap += STEP_WORDS / channel_words;
  vector += STEP_WORDS % channel_words;
  if (vector >= channel_words) {
    vector -= channel_words;
    ++tap;
  }
  fetch(step, group);
}

f16vec4 halves(uint a, uint b) { return f16vec4(unpackFloat2x16(a), unpackFloat2x16(b)); }

// 2^-d, for d of 0 to 14.
float16_t smaller(int d) { return float16_t(uintBitsToFloat(uint(127 - d) << 23)); }

// Two halves to a word; those that are not finite become 0.
uvec4 finite_part(uvec4 v) {
  const uvec4 first = mix(v & 0xffffu, uvec4(0), equal(v & 0x7c00u, uvec4(0x7c00u)));
  const uvec4 second = mix(v & 0xffff0000u, uvec4(0), equal(v & 0x7c000000u, uvec4(0x7c000000u)));
  return first | second;
}

void put() {
  if (any_broken) {
    [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) next_w[i] = finite_part(next_w[i]);
    [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) next_high[i] = finite_part(next_high[i]);
  }
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    if (W_TOTAL % LANES != 0 && item(i) >= W_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + step_word() * 2;
    tile_w[to] = halves(next_w[i].x, next_w[i].y);
    tile_w[to + 1] = halves(next_w[i].z, next_w[i].w);
  }
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    if (X_TOTAL % LANES != 0 && item(i) >= X_TOTAL) break;
    // By two factors, each of which is an ordinary f16; what is smaller by more than both is 0, as what lies outside is.
    const int d = column_exponents[i] - next_exponents[i];
    const float16_t first = smaller(clamp(d, 0, 14));
    const float16_t second = d > 28 ? float16_t(0.0) : smaller(clamp(d - 14, 0, 14));
    const uint to = item(i) / STEP_WORDS * STRIDE + step_word() * 2;
    [[unroll]] for (uint j = 0; j < 2; ++j) {
      const uvec2 high = j == 0 ? next_high[i].xy : next_high[i].zw;
      precise f16vec4 v = halves(high.x, high.y) * first;
      v = v * second;
      tile_x[to + j] = v;
      if (X_HALVES == 2) {
        const uvec2 low = j == 0 ? next_low[i].xy : next_low[i].zw;
        precise f16vec4 left = halves(low.x, low.y) * first;
        left = left * second;
        tile_x[TILE_COLUMNS * STRIDE + to + j] = left;
      }
    }
  }
}

// Whether a half is 0, NaN, or of the sign `minus`; and, where `broken_only`, is not finite.
float16_t mark(uint bits, uint minus, bool broken_only) {
  const uint size = bits & 0x7fffu;
  const bool of_sign = size == 0 || size > 0x7c00u || (bits >> 15 & 1) == minus;
  return of_sign && (!broken_only || size >= 0x7c00u) ? float16_t(1.0) : float16_t(0.0);
}

f16vec4 marks(uvec2 v, uint minus, bool broken_only) {
  return f16vec4(mark(v.x, minus, broken_only), mark(v.x >> 16, minus, broken_only), mark(v.y, minus, broken_only),
                 mark(v.y >> 16, minus, broken_only));
}

// As put(), of the marks of the first halves. A product is +infinity, -infinity, or NaN, which counts as both, where one
// operand is not finite; it is counted with an infinity unless the other operand's sign makes the other one of it, and 0
// makes both. Of the bits of `kind` the first is the weight's sign, the second which operand is not finite (the weight), and
// the third the infinity that is counted.
void put_marks(uint kind) {
  const uint minus = kind & 1;
  const bool of_w = (kind & 2) != 0;
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    if (W_TOTAL % LANES != 0 && item(i) >= W_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + step_word() * 2;
    tile_w[to] = marks(next_w[i].xy, minus, of_w);
    tile_w[to + 1] = marks(next_w[i].zw, minus, of_w);
  }
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    if (X_TOTAL % LANES != 0 && item(i) >= X_TOTAL) break;
    const uint to = item(i) / STEP_WORDS * STRIDE + step_word() * 2;
    const bool outside = next_exponents[i] == kOutside;  // no operand at all
    [[unroll]] for (uint j = 0; j < 2; ++j) {
      const uvec2 high = j == 0 ? next_high[i].xy : next_high[i].zw;
      tile_x[to + j] = outside ? f16vec4(0.0) : marks(high, minus ^ kind >> 2, !of_w);
    }
  }
}

// Of counts of both infinities, where some of +infinity are kSome, with those of -infinity added.
float broken_sum(float counts) {
  if (counts < kSome) return counts > 0.5 ? uintBitsToFloat(0xff800000u) : 0.0;
  return uintBitsToFloat(counts > kSome + 0.5 ? 0x7fc00000u : 0x7f800000u);
}

int exponent_of(uint column) {
  return max(max(exponents[column], exponents[TILE_COLUMNS + column]),
             max(exponents[2 * TILE_COLUMNS + column], exponents[3 * TILE_COLUMNS + column]));
}

// A sum times both powers of two, which together may be larger than a float.
float scaled_back(float sum, int x_exponent, int w_exponent) {
  const int e = x_exponent + w_exponent - 2 * kHalvesExponent;
  const int part = clamp(e, -252, 254) / 2;
  precise float y = sum * uintBitsToFloat(uint(127 + part) << 23);
  y = y * uintBitsToFloat(uint(127 + clamp(e, -252, 254) - part) << 23);
  return y;
}

#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define ROWS coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define COLUMNS coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>

void main() {
  const uint index = workgroup_index();
  const uint channel0 = index % row_tiles * TILE_ROWS;
  const uint part = index / row_tiles % parts;
  const uint tile = index / row_tiles / parts;
  const uint pixel_tiles = (pixels + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint pixel0 = tile % pixel_tiles * TILE_COLUMNS;
  const uint group = tile / pixel_tiles;
  if (group >= groups) return;

  if (lane() == 0) result[0] = 0.0;
  barrier();
  bool own_broken = false;
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    const uint r = min(item(i) / STEP_WORDS, W_HALVES * TILE_ROWS - 1);
    // Channels past the end repeat the last one and are not written.
    const uint row = group * outputs + min(channel0 + r % TILE_ROWS, outputs - 1);
    w_first[i] = (r / TILE_ROWS * groups * outputs + row) * row_words + step_word();
    own_broken = own_broken || load_i32(w_exponents, row) >= kBrokenHalves / 2;
  }
  // Nor are pixels past the end.
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) {
    const Pixel pixel = pixel_at(min(pixel0 + x_column(i), pixels - 1));
    sources[i] = source_of(pixel, pixel.picture);
    int largest = kLeastHalvesExponent;
    for (uint k = step_word(); k < TAPS; k += STEP_WORDS) {
      uint place;
      const bool inside = find_place(sources[i], k, place);
      const int exponent = load_i32(x_exponents, place * groups + group);
      if (inside) largest = max(largest, finite_exponent(exponent));
      own_broken = own_broken || (inside && exponent >= kBrokenHalves / 2);
    }
    if (X_TOTAL % LANES == 0 || item(i) < X_TOTAL) exponents[step_word() * TILE_COLUMNS + x_column(i)] = largest;
  }
  if (own_broken) result[0] = 1.0;
  barrier();
  any_broken = result[0] != 0.0;
  [[unroll]] for (uint i = 0; i < X_ITEMS; ++i) column_exponents[i] = exponent_of(x_column(i));

  const uint down = gl_SubgroupID / SUBGROUPS_ACROSS * MATRIX_ROWS;
  const uint across = gl_SubgroupID % SUBGROUPS_ACROSS * MATRIX_COLUMNS;
  SUMS sums[MATRIX_ROWS * MATRIX_COLUMNS];
  [[unroll]] for (uint i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i) sums[i] = SUMS(0.0);
  const uint begin_step = part * part_steps;
  const uint end_step = min(begin_step + part_steps, (TAPS * channel_words + STEP_WORDS - 1) / STEP_WORDS);

  if (any_broken) {
    for (uint kind = 0; kind < 8; ++kind) {
      start(begin_step, group);
      for (uint step = begin_step; step < end_step; ++step) {
        barrier();
        put_marks(kind);
        barrier();
        if (step + 1 < end_step) advance(step + 1, group);
        for (uint k = 0; k < 32 / K; ++k) {
          COLUMNS marks_of_x[MATRIX_COLUMNS];
          [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
            const uint at = (across + c) * N * STRIDE + k * (K / 4);
            coopMatLoad(marks_of_x[c], tile_x, at, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
          }
          [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
            ROWS marks_of_w;
            coopMatLoad(marks_of_w, tile_w, (down + r) * M * STRIDE + k * (K / 4), STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
              SUMS counts = sums[r * MATRIX_COLUMNS + c];
              sums[r * MATRIX_COLUMNS + c] = coopMatMulAdd(marks_of_w, marks_of_x[c], counts);
            }
          }
        }
      }
      if (kind % 4 != 3) continue;
      [[unroll]] for (uint i = 0; i < MATRIX_ROWS * MATRIX_COLUMNS; ++i) {
        for (uint j = 0; j < sums[i].length(); ++j) {
          sums[i][j] = kind == 3 ? (sums[i][j] > 0.5 ? kSome : 0.0) : broken_sum(sums[i][j]);
        }
      }
    }
  }

  start(begin_step, group);
  for (uint step = begin_step; step < end_step; ++step) {
    barrier();
    put();
    barrier();
    if (step + 1 < end_step) advance(step + 1, group);
    // Compilers unroll it where that pays; with small matrices on a CPU driver it is code for twice the time to compile.
    for (uint k = 0; k < 32 / K; ++k) {
      COLUMNS high[MATRIX_COLUMNS];
      COLUMNS low[MATRIX_COLUMNS];
      [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
        const uint at = (across + c) * N * STRIDE + k * (K / 4);
        coopMatLoad(high[c], tile_x, at, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
        if (X_HALVES == 2) {
          coopMatLoad(low[c], tile_x, at + TILE_COLUMNS * STRIDE, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
        }
      }
      [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
        const uint at = (down + r) * M * STRIDE + k * (K / 4);
        ROWS w_high;
        ROWS w_low;
        coopMatLoad(w_high, tile_w, at, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        if (W_HALVES == 2) {
          coopMatLoad(w_low, tile_w, at + TILE_ROWS * STRIDE, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
          SUMS sum = sums[r * MATRIX_COLUMNS + c];
          if (W_HALVES == 2) sum = coopMatMulAdd(w_low, high[c], sum);
          if (X_HALVES == 2) sum = coopMatMulAdd(w_high, low[c], sum);
          sums[r * MATRIX_COLUMNS + c] = coopMatMulAdd(w_high, high[c], sum);
        }
      }
    }
  }

  const uint own = gl_SubgroupID * M * N;
  [[unroll]] for (uint c = 0; c < MATRIX_COLUMNS; ++c) {
    [[unroll]] for (uint r = 0; r < MATRIX_ROWS; ++r) {
      barrier();
      coopMatStore(sums[r * MATRIX_COLUMNS + c], result, own, N, gl_CooperativeMatrixLayoutRowMajor);
      barrier();
      [[unroll]] for (uint j = 0; j < RESULT_ITEMS; ++j) {
        const uint i = j * SUBGROUP_SIZE + gl_SubgroupInvocationID;
        // The same for all of a lane's items where it can be.
        const uint column = (across + c) * N + (SUBGROUP_SIZE % N == 0 ? gl_SubgroupInvocationID : i) % N;
        const uint row = channel0 + (down + r) * M + i / N;
        if (i >= M * N || pixel0 + column >= pixels || row >= outputs) continue;
        const uint channel = group * outputs + row;
        const int w_exponent = finite_exponent(load_i32(w_exponents, channel));
        const float sum = scaled_back(result[own + i], exponent_of(column), w_exponent);
        write_sum(pixel_at(pixel0 + column), channel, part, sum);
      }
    }
  }
}
