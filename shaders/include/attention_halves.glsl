// How attention_cooperative.comp lays rows of q, keys and value rows into shared memory as halves, multiples of a power of two
// of their own: SHARE lanes side by side have a row. Include after its constants, shared arrays, place_of() and q_place().
#ifndef HEED_ATTENTION_HALVES_GLSL
#define HEED_ATTENTION_HALVES_GLSL

Word staged[ROUNDS * WORDS];  // what the lane fetched of keys or value rows

vec4 finite_part(vec4 v) { return mix(vec4(0.0), v, bvec4(is_finite(v.x), is_finite(v.y), is_finite(v.z), is_finite(v.w))); }
float largest_of(vec4 v) {
  const vec4 a = abs(v);
  return max(max(a.x, a.y), max(a.z, a.w));
}
float largest_of_share(float x) {
  [[unroll]] for (uint distance = 1; distance < SHARE; distance *= 2) x = max(x, subgroupShuffleXor(x, distance));
  return x;
}

// Bits of the exponent of x, within what has an ordinary inverse: power_of_two(exponent - 14) makes x 2^14 to 2^15 of them.
uint exponent_of(float x) { return clamp(floatBitsToUint(x) >> 23, 27u, 254u); }
float power_of_two(uint exponent) { return uintBitsToFloat(exponent << 23); }
uint scale_exponent(float largest) { return exponent_of(largest) - 14; }
float inverse_of(uint exponent) { return power_of_two(254 - exponent); }
// One power of two over another, 0 where it is less than a float can be.
float ratio_of(uint exponent, uint other) { return power_of_two(clamp(int(127 + exponent) - int(other), 0, 254)); }

uvec2 pack_halves(vec4 v) { return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw)); }
vec4 unpack_halves(uvec2 bits) { return vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y)); }
f16vec4 as_halves(uvec2 bits) { return f16vec4(unpackFloat2x16(bits.x), unpackFloat2x16(bits.y)); }

#ifdef KV_f16
// Two halves to a word; those that are not finite.
uint broken_bits(uint pair) {
  return ((pair & 0x7c00u) == 0x7c00u ? 0xffffu : 0u) | ((pair & 0x7c000000u) == 0x7c000000u ? 0xffff0000u : 0u);
}
#endif

#define FETCH(name, tile, length)                                                                          \
  [[unroll]] for (uint i = 0; i < ROUNDS; ++i) {                                                           \
    const uint key = tile + i * AT_A_TIME + lane / SHARE;                                                  \
    const bool is_there = i * AT_A_TIME + lane / SHARE < KEYS && key < end;                                \
    const uint first = is_there ? row_of_head(place_of(key), kv_head) * length : 0;                       \
    [[unroll]] for (uint j = 0; j < WORDS; ++j) {                                                          \
      const uint word = j * SHARE + lane % SHARE;                                                          \
      staged[i * WORDS + j] = Word(0);                                                                     \
      if (is_there && word < length) staged[i * WORDS + j] = load_word(name, first + word);                \
    }                                                                                                      \
  }

void fetch_keys(uint tile) { FETCH(keys, tile, Q_LENGTH) }
void fetch_values(uint tile) { FETCH(values, tile, V_LENGTH) }

void put(bool of_values) {
  const uint width = of_values ? V_WORDS : Q_WORDS;
  bool broken = false;
  [[unroll]] for (uint i = 0; i < ROUNDS; ++i) {
    const uint key = i * AT_A_TIME + lane / SHARE;
#ifndef KV_f16
    float largest = 0.0;
    [[unroll]] for (uint j = 0; j < WORDS; ++j) {
      broken = broken || !all_finite(staged[i * WORDS + j]);
      largest = max(largest, largest_of(finite_part(staged[i * WORDS + j])));
    }
    const uint exponent = scale_exponent(largest_of_share(largest));
    const float down = inverse_of(exponent);
    if (lane % SHARE == 0 && key < KEYS) {
      if (of_values) {
        value_scales[key] = power_of_two(exponent);
      } else {
        key_scales[key] = power_of_two(exponent);
      }
    }
#endif
    [[unroll]] for (uint j = 0; j < WORDS; ++j) {
      const uint word = j * SHARE + lane % SHARE;
      const uint to = key * KV_STRIDE + word;
#ifdef KV_f16
      const uvec2 bits = staged[i * WORDS + j];
      const uvec2 lost = uvec2(broken_bits(bits.x), broken_bits(bits.y));
      broken = broken || (lost.x | lost.y) != 0;
      if (key < KEYS && word < width) tile_kv[to] = as_halves(bits & ~lost);
#else
      const vec4 v = finite_part(staged[i * WORDS + j]) * down;
      const uvec2 high = pack_halves(v);
      if (key < KEYS && word < width) {
        tile_kv[to] = as_halves(high);
        if (KV_HALVES == 2) tile_kv[KEYS * KV_STRIDE + to] = as_halves(pack_halves(v - unpack_halves(high)));
      }
#endif
    }
  }
  if (broken && of_values) broken_values = 1;
  if (broken && !of_values) broken_scores = 1;
}

// Rows [first, first + ROWS) of q, of which those past the end repeat the last one and are not written.
void put_q(uint first_place, uint first, uint row_count) {
  for (uint i = 0; i < Q_ROUNDS; ++i) {
    const uint row = i * AT_A_TIME + lane / SHARE;
    const uint place = first_place + q_place(first + min(row, row_count - 1));
    float largest = 0.0;
    bool broken = false;
    for (uint word = lane % SHARE; word < Q_LENGTH; word += SHARE) {
      const vec4 v = load(q, place + word);
      broken = broken || !all_finite(v);
      largest = max(largest, largest_of(finite_part(v)));
    }
    if (broken) broken_scores = 1;
    const uint exponent = scale_exponent(largest_of_share(largest));
    const float down = inverse_of(exponent);
    if (row < ROWS) {
      if (lane % SHARE == 0) q_scales[row] = power_of_two(exponent);
      for (uint word = lane % SHARE; word < Q_WORDS; word += SHARE) {
        const vec4 v = word < Q_LENGTH ? finite_part(load(q, place + word)) * down : vec4(0.0);
        const uvec2 high = pack_halves(v);
        tile_q[row * Q_STRIDE + word] = as_halves(high);
        if (HALVES == 2) tile_q[(ROWS + row) * Q_STRIDE + word] = as_halves(pack_halves(v - unpack_halves(high)));
      }
    }
  }
}

#endif
