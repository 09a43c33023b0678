// One pass over the keys of a query row in tiles (online softmax, Milakov and Gimelshein 2018): lanes are keys while a tile
// is scored, and elements of the value row while it is summed. Reads d + dv elements and does 2 (d + dv) flops a key.
// Include after attention.glsl, the constants TILE, SLOTS and Q_LENGTH, and `y`; fill q_shared and the sums before.
#ifndef HEED_ATTENTION_PASS_GLSL
#define HEED_ATTENTION_PASS_GLSL
#extension GL_EXT_control_flow_attributes : require

// For CPU drivers, of rows that are short as vec4s. Elsewhere a number that compilers know is one they may unroll by
// themselves: wide heads are left to a loop, since code for all of one holds more registers than there are.
#if defined(SUBGROUP_shuffle) && defined(VECTOR_4)
#define UNROLL [[unroll]]
#define Q_END Q_LENGTH
#else
#define UNROLL
#define Q_END (Q_LENGTH <= 32 ? Q_LENGTH : d)
#endif

shared Element q_shared[Q_LENGTH];
shared float weights[TILE];
#if defined(ATTENTION_GENERAL) || defined(PLACES_1)
shared uint tile_places[TILE];  // of the keys, looked up once
#define KEPT_PLACE(i, t, key) (TABLED > 0 ? tile_places[i] : key_place(t, key))
#define KEEP_PLACE(i, place) if (TABLED > 0) tile_places[i] = place
#else
#define KEPT_PLACE(i, t, key) key_place(t, key)
#define KEEP_PLACE(i, place)
#endif
// Over the keys so far: the largest score, the sum of exp(score - largest), and of those times the value row.
float largest;
float total;
Element sums[SLOTS];

void attend(uvec2 range, uint head, uint t, uint kv_head) {
  const uint lane = gl_LocalInvocationID.x;
  const uint d = head_dim / WIDTH;
  const uint dv = value_dim / WIDTH;
#if defined(SUBGROUP_shuffle) && defined(VECTOR_4)
  Element q_own[Q_LENGTH];  // CPU drivers read shared memory lane by lane
  [[unroll]] for (uint e = 0; e < Q_LENGTH; ++e) q_own[e] = q_shared[e];
#define OWN_Q(e) q_own[e]
#else
#define OWN_Q(e) q_shared[e]
#endif
  float q_squares = 0.0;
  if (SCORE == kCosine) {
    for (uint e = 0; e < d; ++e) q_squares += dot(q_shared[e], q_shared[e]);
  }
  for (uint tile = range.x; tile < range.y; tile += TILE) {
    const uint count = min(TILE, range.y - tile);
    float tile_largest = kMasked;
    for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
      const uint place = key_place(t, tile + i);
      KEEP_PLACE(i, place);
      const uint base = row_of_head(place, kv_head) * d;
      Element product = Element(0.0);
      float k_squares = 0.0;
      UNROLL for (uint e = 0; e < Q_END; ++e) {
        const Element k = load_key(keys, base + e);
        product += score_term(OWN_Q(e), k, head * d + e);
        if (SCORE == kCosine) k_squares += dot(k, k);
      }
      const float score =
          finish_score(finish_product(dot(product, Element(1.0)), q_squares, k_squares), head, t, tile + i);
      weights[i] = score;
      tile_largest = max(tile_largest, score);
    }
    const float new_largest = max(largest, workgroup_max(tile_largest));
    float tile_total = 0.0;
    for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
      const float score = weights[i];
      const float weight = score == kMasked ? 0.0 : exponential(score - new_largest);
      weights[i] = weight;
      tile_total += weight;
    }
    const float rescale = exp(largest - new_largest);
    total = total * rescale + workgroup_sum(tile_total);
    largest = new_largest;
    barrier();  // all weights of the tile are there
    for (uint s = 0; s < SLOTS; ++s) {
      uint e = s * gl_WorkGroupSize.x + lane;
#ifdef SUBGROUP_shuffle
      e = min(e, dv - 1);  // lanes behind the row hand on keys, too
#else
      if (e >= dv) break;
#endif
      Element sum = sums[s] * rescale;
      uint i = 0;
#ifdef SUBGROUP_shuffle
      // Lanes hold a key each and hand it on: what CPU drivers read from shared memory they read lane by lane.
      const uint lanes = gl_WorkGroupSize.x;
      for (; i + lanes <= count; i += lanes) {
        const float own_weight = weights[i + lane];
        const uint own_row = row_of_head(KEPT_PLACE(i + lane, t, tile + i + lane), kv_head);
        [[unroll]] for (uint j = 0; j < lanes; ++j) {
          sum += weighted(subgroupShuffle(own_weight, j), load_key(values, subgroupShuffle(own_row, j) * dv + e));
        }
      }
#endif
      for (; i < count; ++i) {
        sum += weighted(weights[i], load_key(values, row_of_head(KEPT_PLACE(i, t, tile + i), kv_head) * dv + e));
      }
      sums[s] = sum;
    }
    barrier();  // before the next tile overwrites them
  }
}

void write_attended(uint t, uint head) {
  const uint dv = value_dim / WIDTH;
  const float scale_out = total == 0.0 ? 0.0 : 1.0 / total;  // no key at all yields zeros
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (e >= dv) break;
    const uint at = (t * heads + head) * value_dim + e * WIDTH;
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) y[at + c] = sums[s][c] * scale_out;
#else
    y[at] = sums[s] * scale_out;
#endif
  }
}

#endif
