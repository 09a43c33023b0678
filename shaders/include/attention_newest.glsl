// One head's attention of a query row with a cache, or with keys that lie where `places` says (TABLED): the newest key and
// value begin the online softmax; those before them come from the cache. The first head of those that share a key/value
// head writes the newest ones to the cache, from where nobody reads them in this dispatch. A row at position -1 sees
// nothing, and writes nothing there. Include after the constant GROUP_HEADS, attention_pass.glsl, rotary.glsl, reduce.glsl,
// `table`, `cache_k` and `cache_v`; element e of the newest rows, not yet turned, are the macros NEWEST_Q(t, head, e),
// NEWEST_K(t, kv_head, e) and NEWEST_V(t, kv_head, e) of row t.
#ifndef HEED_ATTENTION_NEWEST_GLSL
#define HEED_ATTENTION_NEWEST_GLSL

shared Element k_shared[Q_LENGTH];

#ifdef VECTOR_4
#define SET(array, e, value) array[(e) / 4][(e) % 4] = value
#else
#define SET(array, e, value) array[e] = value
#endif

void attend_step(uint t, uint head) {
  const uint kv_head = head / GROUP_HEADS;
  const uint lane = gl_LocalInvocationID.x;
  const uint d = head_dim / WIDTH;
  const uint dv = value_dim / WIDTH;
  const int own = load_i32(position, OWN_POSITIONS == 1 ? t : 0);
  const uint at = own < 0 ? key_rows : uint(own);
  const bool in_cache = at < key_rows;
  const uint place = in_cache ? key_place(t, at) : 0;
  const bool writes = head % GROUP_HEADS == 0 && in_cache && (TABLED == 0 || place < cache_rows);
  const uint cache_at = row_of_head(place, kv_head);

  for (uint pair = lane; pair < (head_dim + 1) / 2; pair += gl_WorkGroupSize.x) {
    const uvec2 e = rotary_elements(HALF_SPLIT == 1, dims, pair);
    const bool whole = e.y < head_dim;  // false for an odd head's last element
    vec2 own_q = vec2(NEWEST_Q(t, head, e.x), whole ? NEWEST_Q(t, head, e.y) : 0.0);
    vec2 own_k = vec2(NEWEST_K(t, kv_head, e.x), whole ? NEWEST_K(t, kv_head, e.y) : 0.0);
    if (pair < dims / 2) {
      const vec2 turn = rotary_turn(table, dims / 2, min(at, key_rows - 1), pair);
      own_q = rotary_multiply(own_q, turn);
      own_k = rotary_multiply(own_k, turn);
    }
    SET(q_shared, e.x, own_q.x);
    SET(k_shared, e.x, own_k.x);
    if (whole) {
      SET(q_shared, e.y, own_q.y);
      SET(k_shared, e.y, own_k.y);
    }
#ifndef KV_f16
    if (writes) {
      cache_k[cache_at * head_dim + e.x] = own_k.x;
      if (whole) cache_k[cache_at * head_dim + e.y] = own_k.y;
    }
#endif
  }
  barrier();

  Element product = Element(0.0);
  for (uint e = lane; e < d; e += gl_WorkGroupSize.x) {
    Element own_k = k_shared[e];
#ifdef KV_f16
    const uvec2 words = pack_f16x4(own_k);
    own_k = unpack_f16x4(words);  // what later steps find in the cache
    if (writes) {
      cache_k[(cache_at * d + e) * 2] = words.x;
      cache_k[(cache_at * d + e) * 2 + 1] = words.y;
    }
#endif
    product += q_shared[e] * own_k;
  }
  const float newest = finish_score(workgroup_sum(dot(product, Element(1.0))), head, t, min(at, key_rows - 1));
  const bool sees_newest = newest != kMasked && in_cache;
  largest = sees_newest ? newest : kMasked;
  // exp(newest - largest), which is NaN for an infinite score too.
  total = !sees_newest ? 0.0 : is_nan(newest) || is_infinite(newest) ? kNan : 1.0;
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + lane;
    sums[s] = Element(0.0);
    if (e >= dv) break;
    Element own_v;
    for (uint c = 0; c < WIDTH; ++c) {
      const uint element = e * WIDTH + c;
      const float value = NEWEST_V(t, kv_head, element);
#ifndef KV_f16
      if (writes) cache_v[cache_at * value_dim + element] = value;
#endif
#ifdef VECTOR_4
      own_v[c] = value;
#else
      own_v = value;
#endif
    }
#ifdef KV_f16
    const uvec2 words = pack_f16x4(own_v);
    own_v = unpack_f16x4(words);
    if (writes) {
      cache_v[(cache_at * dv + e) * 2] = words.x;
      cache_v[(cache_at * dv + e) * 2 + 1] = words.y;
    }
#endif
    if (sees_newest) sums[s] = own_v;
  }

  uvec2 range = visible_keys(t);
  range.y = min(range.y, at);
  attend(range, head, t, kv_head);
}

#endif
