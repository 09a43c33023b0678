#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Places of a picture look at all its places (engine/ops/spatial_attention.cpp). A workgroup takes QUERIES of them: its lanes
// go over the keys, which lie side by side, and keep the weights in shared memory; then each lane takes channels of v and goes
// along all keys in vec4s. Bytes of a workgroup: 4 keys (width + channels), from a cache for all but the first; flops: 2
// QUERIES keys (width + channels).
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/spatial_attention.h"
#include "functions.glsl"
#include "memory.glsl"
#include "reduce.glsl"

READ_F32(0, q);
READ_F32(1, k);
READ_F32X4(2, v);
READ_F32(3, gain);
READ_F32(4, residual);
WRITE_F32(5, y);
WRITE_F32(6, weights);

shared float scores[QUERIES * KEYS];

void main() {
  const uint group = workgroup_index();
  if (group >= groups) return;
  const uint lane = gl_LocalInvocationID.x;
  const uint lanes = gl_WorkGroupSize.x;
  const uint picture = group / tiles;
  const uint first = group % tiles * QUERIES;

  float largest[QUERIES];
  for (uint i = 0; i < QUERIES; ++i) largest[i] = uintBitsToFloat(0xff800000u);
  for (uint m = lane; m < keys; m += lanes) {
    float sums[QUERIES];
    for (uint i = 0; i < QUERIES; ++i) sums[i] = 0.0;
    for (uint d = picture * width; d < (picture + 1) * width; ++d) {
      const float key = load_f32(k, d * keys + m);
      // Past the end the last one is repeated and not written.
      for (uint i = 0; i < QUERIES; ++i) sums[i] += key * load_f32(q, d * queries + min(first + i, queries - 1));
    }
    for (uint i = 0; i < QUERIES; ++i) {
      scores[i * KEYS + m] = sums[i] * scale;
      largest[i] = max(largest[i], sums[i] * scale);
    }
  }
  for (uint i = 0; i < QUERIES; ++i) largest[i] = workgroup_max(largest[i]);
  float total[QUERIES];
  for (uint i = 0; i < QUERIES; ++i) {
    float sum = 0.0;
    for (uint m = lane; m < keys; m += lanes) {
      const float e = exponential(scores[i * KEYS + m] - largest[i]);
      scores[i * KEYS + m] = e;
      sum += e;
    }
    total[i] = workgroup_sum(sum);
  }
  for (uint i = 0; i < QUERIES; ++i) {
    const float share = 1.0 / total[i];
    for (uint m = lane; m < keys; m += lanes) {
      const float weight = scores[i * KEYS + m] * share;
      scores[i * KEYS + m] = weight;
      if (WEIGHTS == 0 || first + i >= queries) continue;
      weights[WEIGHTS == 1 ? (picture * keys + m) * queries + first + i
                           : (picture * queries + first + i) * keys + m] = weight;
    }
  }
  barrier();

  for (uint c = lane; c < channels; c += lanes) {
    float sums[QUERIES];
    for (uint i = 0; i < QUERIES; ++i) sums[i] = 0.0;
    const uint row = (picture * channels + c) * (keys / 4);
    for (uint m = 0; m < keys / 4; ++m) {
      const vec4 values = load_f32x4(v, row + m);
      for (uint i = 0; i < QUERIES; ++i) {
        const uint at = i * KEYS + 4 * m;
        sums[i] += dot(values, vec4(scores[at], scores[at + 1], scores[at + 2], scores[at + 3]));
      }
    }
    for (uint i = 0; i < QUERIES; ++i) {
      if (first + i >= queries) break;
      const uint at = (picture * channels + c) * queries + first + i;
      float value = sums[i];
      if (HAS_GAIN == 1) value *= load_f32(gain, 0);
      if (HAS_RESIDUAL == 1) value += load_f32(residual, at);
      y[at] = value;
    }
  }
}
