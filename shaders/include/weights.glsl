// Weight matrices as engine/plan/weight_layout.h lays them out: rows of 16-byte words, in bands of BAND rows (a constant to
// define before). A unit is what a lane takes at a time: UNIT_VECTORS vec4s of consecutive columns, which a word holds, or
// half a word. Declares bindings FIRST_WEIGHT (words; 1 if not defined before) and the next one (scales of quantised types).
//   Row weight_row(row, row_units)   where a row is; weight_row_2 of the second matrix, see below
//   Unit load_unit(row, unit)        fetches a unit and its scales
//   vec4 unit_vector(u, j)           its j-th vec4, still to be multiplied by u.scale if UNIT_SCALED is defined
// With SCALES_BY_FOUR defined before, scales do not come with their units but by load_scales(row, unit), if QUANTISED is
// defined: those of SCALED_UNITS units from `unit` on; scale_unit(u, scales, unit) gives them to a unit. With
// SECOND_WEIGHT defined as a binding before, that one and the next hold another matrix of the same type, in bands of BAND_2
// rows.
#ifndef HEED_WEIGHTS_GLSL
#define HEED_WEIGHTS_GLSL

#ifndef FIRST_WEIGHT
#define FIRST_WEIGHT 1
#endif

// What engine/graph/quantised.cpp says of a type: units of a word of low bits and of scales; how scales are kept.
#ifdef WEIGHT_q8_0
#define QUANTISED
#define F32_SCALES
const uint UNITS_OF_SCALES = 8;
const uint BLOCK_UNITS = 2;  // that share a scale
#endif
#ifdef WEIGHT_q4_0
#define QUANTISED
#define F32_SCALES
const uint UNITS_OF_SCALES = 4;
const uint BLOCK_UNITS = 1;
#endif
#ifndef QUANTISED
const uint UNITS_OF_SCALES = 1;
#endif

// The first words of a row in the two planes.
struct Row { uint words; uint scales; bool second; };

#ifdef SECOND_WEIGHT
#define IN_PLANE(row, load, plane, i) ((row).second ? load(plane##_2, i) : load(plane, i))
#define BAND_OF(row) ((row).second ? BAND_2 : BAND)
#else
#define IN_PLANE(row, load, plane, i) load(plane, i)
#define BAND_OF(row) BAND
#endif

// The place of the first word of a row in a plane of `row_words` words a row; word i comes `band` words later for each.
uint first_word(uint row, uint row_words, uint band) { return row / band * band * row_words + row % band; }

Row row_in(uint row, uint row_units, uint band, bool second) {
  const uint scales = (row_units + UNITS_OF_SCALES - 1) / UNITS_OF_SCALES;
  return Row(first_word(row, row_units, band), first_word(row, scales, band), second);
}
Row weight_row(uint row, uint row_units) { return row_in(row, row_units, BAND, false); }
#ifdef SECOND_WEIGHT
Row weight_row_2(uint row, uint row_units) { return row_in(row, row_units, BAND_2, true); }
#endif

// Words.
#ifdef WEIGHT_f32
READ_F32X4(FIRST_WEIGHT, words);
#ifdef SECOND_WEIGHT
READ_F32X4(SECOND_WEIGHT, words_2);
#endif
#else
READ_U32X4(FIRST_WEIGHT, words);
#ifdef SECOND_WEIGHT
READ_U32X4(SECOND_WEIGHT, words_2);
#endif
uvec4 load_word(Row row, uint i) { return IN_PLANE(row, load_u32x4, words, row.words + i * BAND_OF(row)); }
#endif

// Scales.
#ifdef F32_SCALES
#define UNIT_SCALED
struct Unit { uvec4 word; float scale; };
#define Scales vec4
void scale_unit(inout Unit u, Scales scales, uint unit) { u.scale = scales[unit / BLOCK_UNITS % 4]; }
#ifdef SCALES_BY_FOUR
READ_F32X4(FIRST_WEIGHT + 1, scales);
#ifdef SECOND_WEIGHT
READ_F32X4(SECOND_WEIGHT + 1, scales_2);
#endif
Scales load_scales(Row row, uint unit) {
  return IN_PLANE(row, load_f32x4, scales, row.scales + unit / UNITS_OF_SCALES * BAND_OF(row));
}
#else
READ_F32(FIRST_WEIGHT + 1, scales);
float load_scale(Row row, uint unit) {
  return load_f32(scales, (row.scales + unit / UNITS_OF_SCALES * BAND) * 4 + unit / BLOCK_UNITS % 4);
}
#endif
#endif

#ifdef SCALES_BY_FOUR
const uint SCALED_UNITS = UNITS_OF_SCALES;
#endif

// Units.
#ifdef WEIGHT_f32
const uint UNIT_VECTORS = 1;
struct Unit { vec4 word; };
Unit load_unit(Row row, uint unit) { return Unit(IN_PLANE(row, load_f32x4, words, row.words + unit * BAND_OF(row))); }
vec4 unit_vector(Unit u, uint j) { return u.word; }
#endif

#ifdef WEIGHT_f16
const uint UNIT_VECTORS = 2;
struct Unit { uvec4 word; };
Unit load_unit(Row row, uint unit) { return Unit(load_word(row, unit)); }
vec4 unit_vector(Unit u, uint j) {
  return j == 0 ? vec4(unpackHalf2x16(u.word.x), unpackHalf2x16(u.word.y))
                : vec4(unpackHalf2x16(u.word.z), unpackHalf2x16(u.word.w));
}
#endif

#ifdef WEIGHT_bf16
const uint UNIT_VECTORS = 2;
struct Unit { uvec4 word; };
Unit load_unit(Row row, uint unit) { return Unit(load_word(row, unit)); }
vec4 unit_vector(Unit u, uint j) {
  const uvec2 pair = j == 0 ? u.word.xy : u.word.zw;
  return uintBitsToFloat(uvec4(pair.x << 16, pair.x & 0xffff0000u, pair.y << 16, pair.y & 0xffff0000u));
}
#endif

#ifdef F32_SCALES
#ifdef SCALES_BY_FOUR
Unit load_unit(Row row, uint unit) { return Unit(load_word(row, unit), 0.0); }
#else
Unit load_unit(Row row, uint unit) { return Unit(load_word(row, unit), load_scale(row, unit)); }
#endif
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
