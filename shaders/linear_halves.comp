#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// Rows of x as two halves, for linear_cooperative.comp: x[t, k] = (high + low) 2^e, where high is f16, low is what is left
// of it as f16, and e is the row's: its largest element becomes 2^14 to 2^15, so that nothing overflows, and an element is
// off by no more than 2^-22 of itself, or 2^-39 of the largest where that is more: steps of f16 end at 2^-24. y holds
// [high or low, rows, row_words] words of 8 elements, padded with zeros, and scales 2^e of each row. With HALVES 1 there is
// no low. With SUMS, x_sums holds those of each word's 8 elements, of what the halves hold. A workgroup has a row, which it
// reads twice: 8 bytes for each element, and writes 2 for each half.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HALVES = 2;
layout(constant_id = 2) const uint SUMS = 0;
#include "memory.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint rows, columns;
  uint row_words;
};

#ifdef VECTOR_4
READ_F32X4(0, x);
vec4 load_x(uint t, uint k4) { return k4 < columns / 4 ? load_f32x4(x, t * (columns / 4) + k4) : vec4(0.0); }
#else
READ_F32(0, x);
#define X(t, k) ((k) < columns ? load_f32(x, (t) * columns + (k)) : 0.0)
vec4 load_x(uint t, uint k4) { return vec4(X(t, k4 * 4), X(t, k4 * 4 + 1), X(t, k4 * 4 + 2), X(t, k4 * 4 + 3)); }
#endif
WRITE_U32X4(1, y);
WRITE_F32(2, scales);
WRITE_F32(3, x_sums);

const float kLargest = 3.4028234e38;

void main() {
  const uint t = workgroup_index();
  if (t >= rows) return;
  float largest = 0.0;
  for (uint k4 = gl_LocalInvocationID.x; k4 < row_words * 2; k4 += gl_WorkGroupSize.x) {
    const vec4 v = abs(load_x(t, k4));
    // Infinities and NaN stay what they are, whatever the scale.
    for (uint i = 0; i < 4; ++i) largest = v[i] <= kLargest ? max(largest, v[i]) : largest;
  }
  largest = workgroup_max(largest);
  // Of the largest's exponent, as bits: 2^e and its inverse are ordinary floats.
  const int exponent = clamp(int(floatBitsToUint(largest) >> 23) - 127, -100, 127);
  const float down = uintBitsToFloat(uint(14 - exponent + 127) << 23);
  if (gl_LocalInvocationID.x == 0) scales[t] = uintBitsToFloat(uint(exponent - 14 + 127) << 23);
  for (uint word = gl_LocalInvocationID.x; word < row_words; word += gl_WorkGroupSize.x) {
    uvec4 high, low;
    vec4 sums = vec4(0.0);
    for (uint half_word = 0; half_word < 2; ++half_word) {
      const vec4 v = load_x(t, word * 2 + half_word) * down;
      const uvec2 bits = uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
      const vec4 first = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
      const vec4 rest = v - first;
      vec4 left;
      for (uint i = 0; i < 4; ++i) left[i] = abs(v[i]) <= 65504.0 ? rest[i] : 0.0;
      sums += HALVES == 2 ? first + left : first;
      const uvec2 low_bits = uvec2(packHalf2x16(left.xy), packHalf2x16(left.zw));
      if (half_word == 0) {
        high.xy = bits;
        low.xy = low_bits;
      } else {
        high.zw = bits;
        low.zw = low_bits;
      }
    }
    y[t * row_words + word] = high;
    if (HALVES == 2) y[(rows + t) * row_words + word] = low;
    if (SUMS == 1) x_sums[t * row_words + word] = (sums.x + sums.y) + (sums.z + sums.w);
  }
}
