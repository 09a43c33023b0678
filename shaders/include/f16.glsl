// Elements of f16, two to a word, the first in the lower half, as they lie in a file: for devices that know no type of 16
// bits.
#ifndef HEED_F16_GLSL
#define HEED_F16_GLSL

// The bits of the nearest f16, ties to the even one, as graph/convert_dtype.h makes them; but what is too large for f16, or
// infinite, becomes NaN. An infinite key may have a score of -infinity, which drops it without a word; NaN is seen in
// whatever is made of it. Not packHalf2x16: drivers may round as they like there, and those that round towards zero make
// 65504 of every number that is too large.
uint f16_bits(float x) {
  const uint bits = floatBitsToUint(x);
  const uint sign = bits >> 16 & 0x8000u;
  const uint magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) return 0x7e00u;  // from 65520 on
  if (magnitude < 0x38800000u) return sign | uint(roundEven(abs(x) * 16777216.0));  // subnormal: steps of 2^-24
  return sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13);
}

uint pack_f16(vec2 pair) { return f16_bits(pair.x) | f16_bits(pair.y) << 16; }
uvec2 pack_f16x4(vec4 x) { return uvec2(pack_f16(x.xy), pack_f16(x.zw)); }
vec4 unpack_f16x4(uvec2 words) { return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y)); }

#endif
