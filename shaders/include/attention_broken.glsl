// What attention_cooperative.comp does of what is not finite, which is 0 in its matrices. Include after attention_halves.glsl.
#ifndef HEED_ATTENTION_BROKEN_GLSL
#define HEED_ATTENTION_BROKEN_GLSL

// The scores of a tile of keys that elements of q or of a key that are not finite have part in, computed one by one: they
// are infinite or NaN, so that no scale changes them.
void replace_broken_scores(uint tile, uint first_place, uint first, uint row_count) {
  for (uint i = lane; i < ROWS * KEYS; i += LANES) {
    const uint row = i / KEYS;
    const uint key = tile + i % KEYS;
    if (row >= row_count || key >= end) continue;
    const uint q_first = first_place + q_place(first + row);
    const uint k_first = row_of_head(place_of(key), kv_head) * Q_LENGTH;
    vec4 products = vec4(0.0);
    bool broken = false;
    for (uint word = 0; word < Q_LENGTH; ++word) {
      const vec4 of_q = load(q, q_first + word);
      const vec4 of_key = load_key(keys, k_first + word);
      broken = broken || !all_finite(of_q) || !all_finite(of_key);
      products = fma(of_q, of_key, products);
    }
    if (!broken) continue;
    const float product = (products.x + products.y) + (products.z + products.w);
    tile_scores[row * SCORE_STRIDE + i % KEYS / 4][i % 4] = floatBitsToUint(product);
  }
}

// Ones, instead of weights, where these are not 0: of the lane's own eight keys of a row the bits of `shown`.
void mark_weights(uint row, uint shown) {
  uvec4 ones = uvec4(0);
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    ones[i] = (shown >> 2 * i & 1u) * 0x3c00u | (shown >> (2 * i + 1) & 1u) * 0x3c000000u;
  }
  if (row < ROWS) tile_scores[row * SCORE_STRIDE + lane % ROW_LANES] = ones;
}

// Ones, instead of values, where these are infinite, of the sign `minus`, or NaN, which counts as both infinities.
void mark_values(uint tile, uint minus) {
  for (uint i = lane; i < KEYS * V_WORDS; i += LANES) {
    const uint key = tile + i / V_WORDS;
    f16vec4 ones = f16vec4(0.0);
    if (key < end && i % V_WORDS < V_LENGTH) {
      const vec4 v = load_key(values, row_of_head(place_of(key), kv_head) * V_LENGTH + i % V_WORDS);
      [[unroll]] for (uint e = 0; e < 4; ++e) {
        const uint bits = floatBitsToUint(v[e]);
        if (is_nan(v[e]) || (is_infinite(v[e]) && bits >> 31 == minus)) ones[e] = float16_t(1.0);
      }
    }
    tile_kv[i / V_WORDS * KV_STRIDE + i % V_WORDS] = ones;
  }
}

#endif
