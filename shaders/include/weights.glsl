// Weight matrices as engine/plan/weight_layout.h lays them out: rows of 16-byte words, in bands of BAND rows (a constant to
// define before). A unit is what a lane takes at a time: UNIT_VECTORS vec4s of consecutive columns, which a word holds, or
// half a word. Declares bindings FIRST_WEIGHT (words; 1 if not defined before) and the next one (scales of quantised types).
//   Row weight_row(row, row_units)   where a row is; weight_row_2 of the second matrix, see below
//   Unit load_unit(row, unit)        fetches a unit and its scales
//   vec4 unit_vector(u, j)           its j-th vec4, still to be multiplied by u.scale if UNIT_SCALED is defined
// Of quantised types (QUANTISED is defined), whose j-th vec4 is unit_quants times a scale, less a minimum if MINIMA is defined:
//   vec4 unit_quants(u, j)           whole numbers, exact in f16
//   vec2 unit_scales(u)              of each half of a unit; all of GROUP_COLUMNS columns share one
//   vec2 unit_minima(u)              likewise
// What depends on j or a unit's place is chosen with mix, not with ?:, which becomes a branch where an operand lies in memory:
// SwiftShader's compiler takes twice as long for each of them in a kernel's loops, minutes for all.
// With SCALES_APART defined before, scales do not come with their units but by load_scales(row, unit), if QUANTISED is
// defined: those of SCALED_UNITS units from `unit` on; scale_unit(u, scales, unit) gives them to a unit. With
// SECOND_WEIGHT defined as a binding before, that one and the next hold another matrix of the same type, in bands of BAND_2
// rows. With UNIT_BYTES defined before, of quantised types:
//   uvec4 unit_bytes(u, part)         16 quants of a unit as signed bytes, of UNIT_PARTS parts; see at the end
#ifndef HEED_WEIGHTS_GLSL
#define HEED_WEIGHTS_GLSL

#ifndef FIRST_WEIGHT
#define FIRST_WEIGHT 1
#endif

// What engine/graph/quantised.cpp says of a type: how many units a word of low bits, of high bits, of scales and of factors
// serves (0: there are none), and of which kind scales are.
#if defined(WEIGHT_q8_0)
#define QUANTISED
const uint UNITS_OF_SCALES = 16;
#elif defined(WEIGHT_q4_0)
#define QUANTISED
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q4_1)
#define QUANTISED
#define PAIR_SCALES
#define MINIMA
const uint UNITS_OF_SCALES = 4;
#elif defined(WEIGHT_iq4_nl)
#define QUANTISED
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q5_0)
#define QUANTISED
#define UNITS_OF_HIGH 4
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q5_1)
#define QUANTISED
#define PAIR_SCALES
#define MINIMA
#define UNITS_OF_HIGH 4
const uint UNITS_OF_SCALES = 4;
#elif defined(WEIGHT_q4_k)
#define QUANTISED
#define SIX_BIT_SCALES
#define MINIMA
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q5_k)
#define QUANTISED
#define SIX_BIT_SCALES
#define MINIMA
#define UNITS_OF_HIGH 4
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q6_k)
#define QUANTISED
#define GROUPS_OF_16
#define UNITS_OF_HIGH 2
#define UNITS_OF_FACTORS 32
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q3_k)
#define QUANTISED
#define GROUPS_OF_16
#define UNITS_OF_LOW 2
#define UNITS_OF_HIGH 4
const uint UNITS_OF_SCALES = 8;
#elif defined(WEIGHT_q2_k)
#define QUANTISED
#define GROUPS_OF_16
#define MINIMA
#define UNITS_OF_LOW 2
#define UNITS_OF_FACTORS 32
const uint UNITS_OF_SCALES = 8;
#else
const uint UNITS_OF_SCALES = 1;
#endif
#ifndef UNITS_OF_LOW
#define UNITS_OF_LOW 1
#endif
#ifndef UNITS_OF_HIGH
#define UNITS_OF_HIGH 0
#endif
#ifndef UNITS_OF_FACTORS
#define UNITS_OF_FACTORS 0
#endif

// The first words of a row: of low and high bits, of scales and factors.
struct Row { uint words; uint high; uint scales; uint factors; bool second; };

#ifdef SECOND_WEIGHT
#define IN_PLANE(row, load, plane, i) ((row).second ? load(plane##_2, i) : load(plane, i))
#define BAND_OF(row) ((row).second ? BAND_2 : BAND)
#else
#define IN_PLANE(row, load, plane, i) load(plane, i)
#define BAND_OF(row) BAND
#endif

// The place of the first word of a row in a plane of `row_words` words a row; word i comes `band` words later for each.
uint first_word(uint row, uint row_words, uint band) { return row / band * band * row_words + row % band; }

// Words of which each serves `each` of `units` units.
uint words_for(uint units, uint each) { return each == 0 ? 0 : (units + each - 1) / max(each, 1u); }

Row row_in(uint row, uint row_units, uint band, bool second) {
  const uint low = words_for(row_units, UNITS_OF_LOW);
  const uint scales = words_for(row_units, UNITS_OF_SCALES);
  const uint words = first_word(row, low + words_for(row_units, UNITS_OF_HIGH), band);
  const uint first = first_word(row, scales + words_for(row_units, UNITS_OF_FACTORS), band);
  return Row(words, words + low * band, first, first + scales * band, second);
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

#ifdef QUANTISED
#ifdef GROUPS_OF_16
const uint GROUP_COLUMNS = 16;
#else
const uint GROUP_COLUMNS = 32;
#endif

struct Scales { uvec4 word; uint factors; };

READ_U32X4(FIRST_WEIGHT + 1, scales);
#ifdef SECOND_WEIGHT
READ_U32X4(SECOND_WEIGHT + 1, scales_2);
#endif
Scales load_scales(Row row, uint unit) {
  Scales s = Scales(IN_PLANE(row, load_u32x4, scales, row.scales + unit / UNITS_OF_SCALES * BAND_OF(row)), 0);
#if UNITS_OF_FACTORS > 0
  s.factors = IN_PLANE(row, load_u32x4, scales, row.factors + unit / UNITS_OF_FACTORS * BAND_OF(row))[unit / 8 % 4];
#endif
  return s;
}

// The value of an f16. unpackHalf2x16 may make 0 of subnormals, which the scales of small weights are: of q4_k, below 0.06.
float f16_value(uint bits) {
  const uint magnitude = bits & 0x7fffu;
  const uint exponent = magnitude < 0x7c00u ? 0x38000000u : 0x70000000u;  // infinity and NaN stay what they are
  const float normal = uintBitsToFloat((magnitude << 13) + exponent);
  const float value = mix(normal, float(magnitude) * 5.9604644775390625e-8, magnitude < 0x400u);
  return mix(value, -value, (bits & 0x8000u) != 0);
}
vec2 f16_pair(uint word) { return vec2(f16_value(word), f16_value(word >> 16)); }

#ifdef WEIGHT_q8_0
#define BLOCK_UNITS 2
#else
#define BLOCK_UNITS 1
#endif
// Of types whose blocks have an f16 each: that of a unit's block.
float block_scale(Scales s, uint unit) {
  const uint block = unit / BLOCK_UNITS;
  return f16_value(s.word[block / 2 % 4] >> (block % 2 * 16));
}
#endif

#if defined(WEIGHT_q8_0) || defined(WEIGHT_q4_0)
// Units are summed first and scaled once.
#define UNIT_SCALED
struct Unit { uvec4 word; float scale; };
Unit load_bits(Row row, uint unit) { return Unit(load_word(row, unit), 0.0); }
void scale_unit(inout Unit u, Scales s, uint unit) {
  u.scale = block_scale(s, unit);
}
#elif defined(QUANTISED)
// Units of 32 columns with a scale and what is subtracted, for each half of them.
const uint UNIT_VECTORS = 8;
struct Unit { uvec4 low; uvec2 high; vec2 scale; vec2 minimum; };

// The bits of a unit; those of `high` are bit i (UNITS_OF_HIGH 4) or bits 2 i and 2 i + 1 (2) of element i.
Unit load_bits(Row row, uint unit) {
  Unit u = Unit(load_word(row, unit / UNITS_OF_LOW), uvec2(0), vec2(0.0), vec2(0.0));
#if UNITS_OF_LOW == 2
  u.low.xy = mix(u.low.xy, u.low.zw, bvec2(unit % 2 == 1));
#endif
#if UNITS_OF_HIGH > 0
  const uvec4 high = IN_PLANE(row, load_u32x4, words, row.high + unit / UNITS_OF_HIGH * BAND_OF(row));
#if UNITS_OF_HIGH == 4
  u.high.x = high[unit % 4];
#else
  u.high = mix(high.xy, high.zw, bvec2(unit % 2 == 1));
#endif
#endif
  return u;
}

uint byte_of(uvec4 word, uint i) { return word[i / 4] >> (i % 4 * 8) & 255u; }

#if defined(WEIGHT_q5_0) || defined(WEIGHT_iq4_nl)
void scale_unit(inout Unit u, Scales s, uint unit) { u.scale = vec2(block_scale(s, unit)); }
#endif
#ifdef PAIR_SCALES
// {f16 scale, f16 added} of each unit.
void scale_unit(inout Unit u, Scales s, uint unit) {
  const vec2 pair = f16_pair(s.word[unit % 4]);
  u.scale = pair.xx;
  u.minimum = -pair.yy;
}
#endif
#ifdef SIX_BIT_SCALES
// {f16 scale, f16 minimum} of the block and 12 bytes of codes, see unpack_six_bits in engine/graph/quantised.cpp.
void scale_unit(inout Unit u, Scales s, uint unit) {
  const uvec3 codes = s.word.yzw >> (unit % 4 * 8) & 255u;
  const uvec2 code = mix(codes.xy & 63u, uvec2(codes.z & 15u, codes.z >> 4) | codes.xy >> 6 << 4, bvec2(unit % 8 >= 4));
  const vec2 pair = f16_pair(s.word.x) * vec2(code);
  u.scale = pair.xx;
  u.minimum = pair.yy;
}
#endif
#ifdef WEIGHT_q6_k
void scale_unit(inout Unit u, Scales s, uint unit) {
  const uint group = unit % 8 * 2;
  const ivec2 code = ivec2(uvec2(byte_of(s.word, group), byte_of(s.word, group + 1)) << 24) >> 24;
  u.scale = f16_value(s.factors) * vec2(code);
}
#endif
#ifdef WEIGHT_q3_k
// See unpack_q3_k in engine/graph/quantised.cpp.
float scale_of_group(Scales s, uint group) {
  const uint low = byte_of(s.word, group % 8) >> (group < 8 ? 0 : 4) & 15u;
  const uint high = byte_of(s.word, 8 + group % 4) >> (group / 4 * 2) & 3u;
  return f16_value(s.word.w) * float(int(low | high << 4) - 32);
}
void scale_unit(inout Unit u, Scales s, uint unit) {
  const uint group = unit % 8 * 2;
  u.scale = vec2(scale_of_group(s, group), scale_of_group(s, group + 1));
}
#endif
#ifdef WEIGHT_q2_k
void scale_unit(inout Unit u, Scales s, uint unit) {
  const uint group = unit % 8 * 2;
  const uvec2 codes = uvec2(byte_of(s.word, group), byte_of(s.word, group + 1));
  const vec2 factors = f16_pair(s.factors);
  u.scale = factors.x * vec2(codes & 15u);
  u.minimum = factors.y * vec2(codes >> 4);
}
#endif
#endif

#ifdef QUANTISED
Unit load_unit(Row row, uint unit) {
  Unit u = load_bits(row, unit);
#ifndef SCALES_APART
  scale_unit(u, load_scales(row, unit), unit);
#endif
  return u;
}
#endif

#ifdef SCALES_APART
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
  const uvec2 pair = mix(u.word.xy, u.word.zw, bvec2(j > 0));
  return vec4(unpackHalf2x16(pair.x), unpackHalf2x16(pair.y));
}
#endif

#ifdef WEIGHT_bf16
const uint UNIT_VECTORS = 2;
struct Unit { uvec4 word; };
Unit load_unit(Row row, uint unit) { return Unit(load_word(row, unit)); }
vec4 unit_vector(Unit u, uint j) {
  const uvec2 pair = mix(u.word.xy, u.word.zw, bvec2(j > 0));
  return uintBitsToFloat(uvec4(pair.x << 16, pair.x & 0xffff0000u, pair.y << 16, pair.y & 0xffff0000u));
}
#endif

#ifdef WEIGHT_q8_0
const uint UNIT_VECTORS = 4;
// Without the scale: the caller sums a whole unit first and scales once.
vec4 unit_vector(Unit u, uint j) {
  const int bytes = int(u.word[j]);
  return vec4((ivec4(bytes) << ivec4(24, 16, 8, 0)) >> 24);
}
#endif

#if defined(QUANTISED) && !defined(WEIGHT_q8_0)
// vec4 j of the 32 elements of a unit of 4, 1 or 2 bits each. Byte b of a word of 4 holds element b low and b + 16 high.
uvec4 four_bits(uvec4 word, uint j) {
  const uint nibbles = word[j & 3u] >> (j < 4 ? 0 : 4);
  return (uvec4(nibbles) >> uvec4(0, 8, 16, 24)) & 15u;
}
uvec4 one_bit(uint bits, uint j) { return (uvec4(bits >> (j * 4)) >> uvec4(0, 1, 2, 3)) & 1u; }
uvec4 two_bits(uvec2 bits, uint j) {
  return (uvec4(mix(bits.x, bits.y, j >= 4) >> ((j & 3u) * 8)) >> uvec4(0, 2, 4, 6)) & 3u;
}
#endif

#ifdef WEIGHT_q4_0
const uint UNIT_VECTORS = 8;
vec4 unit_vector(Unit u, uint j) { return vec4(ivec4(four_bits(u.word, j)) - 8); }
#endif

#ifdef UNIT_SCALED
vec4 unit_quants(Unit u, uint j) { return unit_vector(u, j); }
vec2 unit_scales(Unit u) { return vec2(u.scale); }
#endif

#if defined(QUANTISED) && !defined(UNIT_SCALED)
#ifdef WEIGHT_iq4_nl
// The codebook's bytes; see kIq4NlCodebook in engine/graph/quantise.h.
vec4 unit_quants(Unit u, uint j) {
  const uvec4 q = four_bits(u.low, j);
  const uvec4 first = mix(uvec4(0xbfad9881u), uvec4(0xf6eaddcfu), notEqual(q & 4u, uvec4(0)));
  const uvec4 second = mix(uvec4(0x26190d01u), uvec4(0x71594535u), notEqual(q & 4u, uvec4(0)));
  const uvec4 bytes = mix(first, second, notEqual(q & 8u, uvec4(0)));
  return vec4(ivec4(bytes << (24u - (q & 3u) * 8u)) >> 24);
}
#elif defined(WEIGHT_q4_1) || defined(WEIGHT_q4_k)
vec4 unit_quants(Unit u, uint j) { return vec4(four_bits(u.low, j)); }
#elif defined(WEIGHT_q5_1) || defined(WEIGHT_q5_k)
vec4 unit_quants(Unit u, uint j) { return vec4(four_bits(u.low, j) | one_bit(u.high.x, j) << 4); }
#elif defined(WEIGHT_q5_0)
vec4 unit_quants(Unit u, uint j) { return vec4(ivec4(four_bits(u.low, j) | one_bit(u.high.x, j) << 4) - 16); }
#elif defined(WEIGHT_q6_k)
vec4 unit_quants(Unit u, uint j) { return vec4(ivec4(four_bits(u.low, j) | two_bits(u.high, j) << 4) - 32); }
#elif defined(WEIGHT_q3_k)
vec4 unit_quants(Unit u, uint j) { return vec4(ivec4(two_bits(u.low.xy, j) | one_bit(u.high.x, j) << 2) - 4); }
#elif defined(WEIGHT_q2_k)
vec4 unit_quants(Unit u, uint j) { return vec4(two_bits(u.low.xy, j)); }
#endif
// Products of scales and quants are exact but q6_k's, so that this is what the file decodes to, with or without an fma.
vec4 unit_vector(Unit u, uint j) {
  const float scale = mix(u.scale.x, u.scale.y, j >= 4);
  const float minimum = mix(u.minimum.x, u.minimum.y, j >= 4);
  return unit_quants(u, j) * scale - minimum;
}
vec2 unit_scales(Unit u) { return u.scale; }
vec2 unit_minima(Unit u) { return u.minimum; }
#endif

// Bytes. Element i of part p of a unit is (byte - QUANT_ZERO) * u.scale - u.minimum; where scales differ between the parts,
// GROUPS_OF_16 is defined, and of both, as of what is subtracted where there are MINIMA, component p counts.
#ifdef UNIT_BYTES
const uint UNIT_PARTS = UNIT_VECTORS / 4;
#if defined(WEIGHT_q4_0)
const int QUANT_ZERO = 8;
#elif defined(WEIGHT_q5_0)
const int QUANT_ZERO = 16;
#elif defined(WEIGHT_q6_k)
const int QUANT_ZERO = 32;
#elif defined(WEIGHT_q3_k)
const int QUANT_ZERO = 4;
#else
const int QUANT_ZERO = 0;
#endif

// Four bits, or four pairs of them, from bit 0 on, a byte each.
uint bits_apart(uint bits) { return (bits | bits << 7 | bits << 14 | bits << 21) & 0x01010101u; }
uint pairs_apart(uint bits) { return (bits | bits << 6 | bits << 12 | bits << 18) & 0x03030303u; }

uvec4 bytes_of_four(uvec4 word, uint part) { return word >> (part * 4) & 0x0f0f0f0fu; }
uvec4 bytes_of_one(uint bits, uint part) {
  const uint own = bits >> (part * 16);
  return uvec4(bits_apart(own & 15u), bits_apart(own >> 4 & 15u), bits_apart(own >> 8 & 15u), bits_apart(own >> 12 & 15u));
}
uvec4 bytes_of_two(uvec2 bits, uint part) {
  const uint own = part == 0 ? bits.x : bits.y;
  return uvec4(pairs_apart(own & 255u), pairs_apart(own >> 8 & 255u), pairs_apart(own >> 16 & 255u), pairs_apart(own >> 24));
}

#if defined(WEIGHT_q8_0)
uvec4 unit_bytes(Unit u, uint part) { return u.word; }
#elif defined(WEIGHT_q4_0)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_four(u.word, part); }
#elif defined(WEIGHT_q4_1) || defined(WEIGHT_q4_k)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_four(u.low, part); }
#elif defined(WEIGHT_q5_0) || defined(WEIGHT_q5_1) || defined(WEIGHT_q5_k)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_four(u.low, part) | bytes_of_one(u.high.x, part) << 4; }
#elif defined(WEIGHT_q6_k)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_four(u.low, part) | bytes_of_two(u.high, part) << 4; }
#elif defined(WEIGHT_q3_k)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_two(u.low.xy, part) | bytes_of_one(u.high.x, part) << 2; }
#elif defined(WEIGHT_q2_k)
uvec4 unit_bytes(Unit u, uint part) { return bytes_of_two(u.low.xy, part); }
#elif defined(WEIGHT_iq4_nl)
// Looks up four bytes at a time: each bit of the quants halves what is left of the codebook (see numbers()).
uvec4 unit_bytes(Unit u, uint part) {
  const uvec4 q = bytes_of_four(u.low, part);
  const uvec4 odd = (q & 0x01010101u) * 255u;
  const uvec4 second = (q >> 1 & 0x01010101u) * 255u;
  const uvec4 third = (q >> 2 & 0x01010101u) * 255u;
  const uvec4 fourth = (q >> 3 & 0x01010101u) * 255u;
#define HEED_CODES(even_code, odd_code) (even_code * 0x01010101u ^ odd & ((even_code ^ odd_code) * 0x01010101u))
#define HEED_CHOOSE(mask, a, b) (a ^ mask & (a ^ b))
  const uvec4 to_3 = HEED_CHOOSE(second, HEED_CODES(0x81u, 0x98u), HEED_CODES(0xadu, 0xbfu));
  const uvec4 to_7 = HEED_CHOOSE(second, HEED_CODES(0xcfu, 0xddu), HEED_CODES(0xeau, 0xf6u));
  const uvec4 to_11 = HEED_CHOOSE(second, HEED_CODES(0x01u, 0x0du), HEED_CODES(0x19u, 0x26u));
  const uvec4 to_15 = HEED_CHOOSE(second, HEED_CODES(0x35u, 0x45u), HEED_CODES(0x59u, 0x71u));
  const uvec4 low_half = HEED_CHOOSE(third, to_3, to_7);
  const uvec4 high_half = HEED_CHOOSE(third, to_11, to_15);
  return HEED_CHOOSE(fourth, low_half, high_half);
}
#endif
#endif

#endif
