// Weight matrices as engine/plan/weight_layout.h lays them out: rows of 16-byte words. A unit is what one word holds:
// UNIT_VECTORS vec4s of consecutive columns. Declares binding 1 (words) and 2 (scales of quantised types).
//   Unit load_unit(row, unit)     fetches a word (and its scale)
//   vec4 unit_vector(u, j)        its j-th vec4
#ifndef HEED_WEIGHTS_GLSL
#define HEED_WEIGHTS_GLSL

#ifdef WEIGHT_f32
READ_F32X4(1, words);
const uint UNIT_VECTORS = 1;
struct Unit { vec4 word; };
Unit load_unit(uint row, uint unit, uint row_words) { return Unit(load_f32x4(words, row * row_words + unit)); }
vec4 unit_vector(Unit u, uint j) { return u.word; }
#else
READ_U32X4(1, words);
#endif

#ifdef WEIGHT_f16
const uint UNIT_VECTORS = 2;
struct Unit { uvec4 word; };
Unit load_unit(uint row, uint unit, uint row_words) { return Unit(load_u32x4(words, row * row_words + unit)); }
vec4 unit_vector(Unit u, uint j) {
  return j == 0 ? vec4(unpackHalf2x16(u.word.x), unpackHalf2x16(u.word.y))
                : vec4(unpackHalf2x16(u.word.z), unpackHalf2x16(u.word.w));
}
#endif

#ifdef WEIGHT_bf16
const uint UNIT_VECTORS = 2;
struct Unit { uvec4 word; };
Unit load_unit(uint row, uint unit, uint row_words) { return Unit(load_u32x4(words, row * row_words + unit)); }
vec4 unit_vector(Unit u, uint j) {
  const uvec2 pair = j == 0 ? u.word.xy : u.word.zw;
  return uintBitsToFloat(uvec4(pair.x << 16, pair.x & 0xffff0000u, pair.y << 16, pair.y & 0xffff0000u));
}
#endif

#ifdef WEIGHT_q8_0
READ_F32(2, scales);
const uint UNIT_VECTORS = 4;
struct Unit { uvec4 word; float scale; };
Unit load_unit(uint row, uint unit, uint row_words) {
  const uint i = row * row_words + unit;  // two words a block of 32
  return Unit(load_u32x4(words, i), load_f32(scales, i >> 1));
}
// Without the scale: the caller sums a whole unit first and scales once.
vec4 unit_vector(Unit u, uint j) {
  const int bytes = int(j == 0 ? u.word.x : j == 1 ? u.word.y : j == 2 ? u.word.z : u.word.w);
  return vec4((ivec4(bytes) << ivec4(24, 16, 8, 0)) >> 24);
}
#define UNIT_SCALED
#endif

#ifdef WEIGHT_q4_0
READ_F32(2, scales);
const uint UNIT_VECTORS = 8;
struct Unit { uvec4 word; float scale; };
Unit load_unit(uint row, uint unit, uint row_words) {
  const uint i = row * row_words + unit;
  return Unit(load_u32x4(words, i), load_f32(scales, i));
}
// Byte b of the block holds element b low and b + 16 high.
vec4 unit_vector(Unit u, uint j) {
  const uint k = j & 3u;
  const uint bytes = k == 0 ? u.word.x : k == 1 ? u.word.y : k == 2 ? u.word.z : u.word.w;
  const uint nibbles = (j < 4 ? bytes : bytes >> 4);
  return vec4(ivec4((uvec4(nibbles) >> uvec4(0, 8, 16, 24)) & 15u) - 8);
}
#define UNIT_SCALED
#endif

#endif
