// Rows of x as bytes, for integer dot products. Each block of X_BLOCK columns (16 or 32) has a step, its largest magnitude
// divided by 32639; an element is round(x / step) steps, which is 256 high + low of two signed bytes. So an element is off by
// at most half a step, 2^-16 of the largest of its block, and what is made of the bytes is exact. A block with an infinity, NaN,
// or an element of 2^126 or more has the step NaN, and so has every sum that it is part of. Steps are at least 2^-124: elements below 2^-109 lose bits.
//
// A row is X_WORDS words of 16 high bytes, then as many of low ones, and for each block {step, sum of its 256 high + low}. Word
// w of a plane lies at word_place(w), so that lanes with neighbouring units of X_PARTS words read neighbouring words.
//
// To define before: X_BLOCK, X_PARTS and SUBGROUP_SIZE. A block is made by BLOCK_LANES neighbouring lanes of a subgroup, lane j
// of them having its vec4s j, j + BLOCK_LANES, ..
#ifndef HEED_ROW_BYTES_GLSL
#define HEED_ROW_BYTES_GLSL

#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_control_flow_attributes : require

const uint BLOCK_VECTORS = X_BLOCK / 4;
const uint BLOCK_LANES = SUBGROUP_SIZE < BLOCK_VECTORS ? SUBGROUP_SIZE : BLOCK_VECTORS;
const uint LANE_VECTORS = BLOCK_VECTORS / BLOCK_LANES;
const float kSteps = 32639.0;  // 127 * 256 + 127

uint word_place(uint word, uint words) { return X_PARTS == 1 ? word : word % 2 * (words / 2) + word / 2; }
uint block_place(uint block, uint blocks) { return X_BLOCK == 32 ? block : block % 2 * (blocks / 2) + block / 2; }

uint pack_bytes(ivec4 bytes) {
  const uvec4 b = uvec4(bytes) & 255u;
  return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

// All lanes of a block call it together. `block` is the same for all of them.
void make_bytes(vec4 v[LANE_VECTORS], out uint high[LANE_VECTORS], out uint low[LANE_VECTORS], out uvec2 block) {
  // Magnitudes of floats are ordered as their bits are, infinity and NaN above all others.
  uint most_bits = 0;
  [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
    const uvec4 magnitude = floatBitsToUint(v[i]) & 0x7fffffffu;
    most_bits = max(most_bits, max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w)));
  }
  [[unroll]] for (uint step = 1; step < BLOCK_LANES; step *= 2) {
    most_bits = max(most_bits, subgroupShuffleXor(most_bits, step));
  }
  const bool finite = most_bits < 0x7e800000u;  // 2^126: from there on 1 / step may be no normal number
  precise float most = uintBitsToFloat(max(finite ? most_bits : 0u, 0x09000000u));  // 2^-109
  precise float per_step = kSteps / most;
  precise float step_size = most * (1.0 / kSteps);
  int sum = 0;
  [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
    precise vec4 steps = roundEven(v[i] * per_step);
    const ivec4 q = finite ? ivec4(steps) : ivec4(0);
    high[i] = pack_bytes(q + 128 >> 8);
    low[i] = pack_bytes(q);
    sum += q.x + q.y + q.z + q.w;
  }
  [[unroll]] for (uint step = 1; step < BLOCK_LANES; step *= 2) sum += subgroupShuffleXor(sum, step);
  block = uvec2(finite ? floatBitsToUint(step_size) : 0x7fc00000u, uint(sum));
}

#endif
