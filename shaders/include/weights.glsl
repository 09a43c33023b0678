// Weight matrices as engine/plan/weight_layout.h lays them out: rows of 16-byte words. A unit is what one word holds:
// UNIT_VECTORS vec4s of consecutive columns. Declares binding 1 (words) and 2 (scales of quantised types).
//   Unit load_unit(row, unit, row_words)    fetches a word (and its scale)
//   vec4 unit_vector(u, j)                  its j-th vec4, still to be multiplied by the scale if UNIT_SCALED is defined
// With SCALES_BY_FOUR defined before, scales do not come with their units but by load_scales(row, unit, row_words): those
// of SCALED_UNITS units from `unit` on, of BLOCK_UNITS units each.
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
const uint BLOCK_UNITS = 2;
#endif
#ifdef WEIGHT_q4_0
const uint BLOCK_UNITS = 1;
#endif

#if defined(WEIGHT_q8_0) || defined(WEIGHT_q4_0)
#define UNIT_SCALED
// A row's scales are padded to a multiple of four.
uint scale_words(uint row_words) { return (row_words / BLOCK_UNITS + 3) / 4; }
#ifdef SCALES_BY_FOUR
const uint SCALED_UNITS = 4 * BLOCK_UNITS;  // that one vec4 of scales serves
READ_F32X4(2, scales);
vec4 load_scales(uint row, uint unit, uint row_words) {
  return load_f32x4(scales, row * scale_words(row_words) + unit / SCALED_UNITS);
}
struct Unit { uvec4 word; };
Unit load_unit(uint row, uint unit, uint row_words) { return Unit(load_u32x4(words, row * row_words + unit)); }
#else
READ_F32(2, scales);
struct Unit { uvec4 word; float scale; };
Unit load_unit(uint row, uint unit, uint row_words) {
  return Unit(load_u32x4(words, row * row_words + unit),
              load_f32(scales, row * 4 * scale_words(row_words) + unit / BLOCK_UNITS));
}
#endif
#else
const uint BLOCK_UNITS = 1;
const uint SCALED_UNITS = 1;
#endif

#ifdef WEIGHT_q8_0
const uint UNIT_VECTORS = 4;
// Without the scale: the caller sums a whole unit first and scales once.
vec4 unit_vector(Unit u, uint j) {
  const int bytes = int(j == 0 ? u.word.x : j == 1 ? u.word.y : j == 2 ? u.word.z : u.word.w);
  return vec4((ivec4(bytes) << ivec4(24, 16, 8, 0)) >> 24);
}
#endif

#ifdef WEIGHT_q4_0
const uint UNIT_VECTORS = 8;
// Byte b of the block holds element b low and b + 16 high.
vec4 unit_vector(Unit u, uint j) {
  const uint k = j & 3u;
  const uint bytes = k == 0 ? u.word.x : k == 1 ? u.word.y : k == 2 ? u.word.z : u.word.w;
  const uint nibbles = (j < 4 ? bytes : bytes >> 4);
  return vec4(ivec4((uvec4(nibbles) >> uvec4(0, 8, 16, 24)) & 15u) - 8);
}
#endif

#endif
