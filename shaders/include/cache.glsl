// Where the keys and values of a head lie (attribute by_head of engine/ops/attention.cpp). Include after the push constants
// kv_heads, cache_rows and block_shift, and the constant CACHED.
#ifndef HEED_CACHE_GLSL
#define HEED_CACHE_GLSL

// Among the head's rows of a place side by side: of all heads of a position, or of a block of positions, of which the last
// may be shorter.
uint row_of_head(uint place, uint kv_head) {
  if (CACHED == 0) return place * kv_heads + kv_head;
  const uint block = place >> block_shift << block_shift;
  return block * kv_heads + kv_head * min(1u << block_shift, cache_rows - block) + place - block;
}

#endif
