#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
// variant KV: f32 f16
// without VECTOR_1 SUBGROUP_. KV_f16: caches of f16 have heads of whole vec4s
//
// attention.comp with a cache of which a piece is bound, keys [piece_first, piece_first + cache_rows): what the pass has
// summed up is carried from piece to piece, in order, in value_dim + 2 floats a row and head.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/attention_pieces.h"
const uint CACHED = 1;
const uint LENGTHS = 0;
const uint SCORE = 0;
#define KEY_PIECES
#include "memory.glsl"
#include "reduce.glsl"
#include "attention.glsl"

READ_ELEMENTS(0, q);
WRITE_F32(5, y);
UPDATE_F32(6, carried);
#include "attention_pass.glsl"

// The first float of element e of the sums.
uint carried_sum(uint group, uint e) { return group * (value_dim + 2) + 2 + e * WIDTH; }

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

  largest = FIRST == 1 ? kMasked : carried[group * (value_dim + 2)];
  total = FIRST == 1 ? 0.0 : carried[group * (value_dim + 2) + 1];
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + lane;
    sums[s] = Element(0.0);
    if (FIRST == 1 || e >= dv) continue;
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) sums[s][c] = carried[carried_sum(group, e) + c];
#else
    sums[s] = carried[carried_sum(group, e)];
#endif
  }
  barrier();  // before what all lanes have read changes

  uvec2 range = visible_keys(t);
  range = uvec2(max(range.x, piece_first), min(range.y, piece_first + cache_rows));
  attend(range, head, t, kv_head);
  if (LAST == 1) {
    write_attended(t, head);
    return;
  }
  if (lane == 0) {
    carried[group * (value_dim + 2)] = largest;
    carried[group * (value_dim + 2) + 1] = total;
  }
  for (uint s = 0; s < SLOTS; ++s) {
    const uint e = s * gl_WorkGroupSize.x + lane;
    if (e >= dv) break;
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) carried[carried_sum(group, e) + c] = sums[s][c];
#else
    carried[carried_sum(group, e)] = sums[s];
#endif
  }
}
