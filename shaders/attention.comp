#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// One query row of one head a workgroup, in one pass over its keys in tiles (online softmax, Milakov and Gimelshein
// 2018): lanes are keys while a tile is scored, and elements of the value row while it is summed. Reads (d + dv) * 4
// bytes and does 2 (d + dv) flops a key.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CACHED = 0;
layout(constant_id = 2) const uint CAUSAL = 0;
layout(constant_id = 3) const uint MASKED = 0;
layout(constant_id = 4) const uint TILE = 128;    // keys scored at a time
layout(constant_id = 5) const uint SLOTS = 1;     // elements of the value row a lane owns
layout(constant_id = 6) const uint Q_LENGTH = 1;  // elements of a head of q
#include "memory.glsl"
#include "reduce.glsl"
#include "attention.glsl"

WRITE_F32(5, y);

shared Element q_shared[Q_LENGTH];
shared float weights[TILE];

void main() {
  const uint group = workgroup_index();
  if (group >= rows * heads) return;
  const uint head = group % heads;
  const uint t = group / heads;
  const uint kv_head = head / (heads / kv_heads);
  const uint lane = gl_LocalInvocationID.x;
  const uint d = head_dim / WIDTH;
  const uint dv = value_dim / WIDTH;

  for (uint e = lane; e < d; e += gl_WorkGroupSize.x) q_shared[e] = load(q, (t * q_row + head * head_dim) / WIDTH + e);
  barrier();

  Element sums[SLOTS];
  for (uint s = 0; s < SLOTS; ++s) sums[s] = Element(0.0);
  float largest = kMasked;
  float total = 0.0;
  const uvec2 range = visible_keys(t);

  for (uint tile = range.x; tile < range.y; tile += TILE) {
    const uint count = min(TILE, range.y - tile);
    float tile_largest = kMasked;
    for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
      const uint base = ((tile + i) * kv_heads + kv_head) * d;
      Element product = Element(0.0);
      for (uint e = 0; e < d; ++e) product += q_shared[e] * load(keys, base + e);
      const float score = finish_score(dot(product, Element(1.0)), head, t, tile + i);
      weights[i] = score;
      tile_largest = max(tile_largest, score);
    }
    const float new_largest = max(largest, workgroup_max(tile_largest));
    float tile_total = 0.0;
    for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
      const float score = weights[i];
      const float weight = score > kMasked ? exp(score - new_largest) : 0.0;
      weights[i] = weight;
      tile_total += weight;
    }
    const float rescale = exp(largest - new_largest);
    total = total * rescale + workgroup_sum(tile_total);
    largest = new_largest;
    barrier();  // all weights of the tile are there
    for (uint s = 0; s < SLOTS; ++s) {
      const uint e = s * gl_WorkGroupSize.x + lane;
      if (e >= dv) break;
      Element sum = sums[s] * rescale;
      for (uint i = 0; i < count; ++i) {
        sum += weights[i] * load(values, ((tile + i) * kv_heads + kv_head) * dv + e);
      }
      sums[s] = sum;
    }
    barrier();  // before the next tile overwrites them
  }

  const float scale_out = total > 0.0 ? 1.0 / total : 0.0;  // no key at all yields zeros
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + lane;
    if (e >= dv) break;
    const uint at = (t * heads + head) * value_dim + e * WIDTH;
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) y[at + c] = sums[s][c] * scale_out;
#else
    y[at] = sums[s] * scale_out;
#endif
  }
}
