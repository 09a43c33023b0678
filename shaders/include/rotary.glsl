// Cosine and sine of a position's angle from the two-level table of ops::Rotary: row p % 256 for the fine part, row
// 256 + p / 256 for the coarse one, multiplied as complex numbers. Declares nothing; `table` is a READ_F32 array.
#ifndef HEED_ROTARY_GLSL
#define HEED_ROTARY_GLSL

#define rotary_turn(table, pairs, position, pair) \
  rotary_multiply(vec2(load_f32(table, (((position) & 255u) * (pairs) + (pair)) * 2), \
                       load_f32(table, (((position) & 255u) * (pairs) + (pair)) * 2 + 1)), \
                  vec2(load_f32(table, ((256u + ((position) >> 8)) * (pairs) + (pair)) * 2), \
                       load_f32(table, ((256u + ((position) >> 8)) * (pairs) + (pair)) * 2 + 1)))

// Exactly so in every kernel: a key must enter a cache with the same bits whichever of them turns it, also where a compiler
// would join a product and a sum.
vec2 rotary_multiply(vec2 a, vec2 b) {
  precise const vec2 product = vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
  return product;
}

// The same of four pairs.
void rotary_multiply4(inout vec4 x, inout vec4 y, vec4 by_x, vec4 by_y) {
  precise const vec4 product_x = x * by_x - y * by_y;
  precise const vec4 product_y = x * by_y + y * by_x;
  x = product_x;
  y = product_y;
}

// Elements of pair i; past the turned part of a head the pairs are neighbours and only copied.
uvec2 rotary_elements(bool half_split, uint dims, uint pair) {
  const bool turned = pair < dims / 2;
  return half_split && turned ? uvec2(pair, pair + dims / 2) : uvec2(2 * pair, 2 * pair + 1);
}

#endif
