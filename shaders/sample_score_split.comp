#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// What a chosen token adds to the sum of its sequence, as sample_score.comp finds it, by many workgroups a sequence. Each
// leaves the largest logit of its share and the sum of exp(logit - largest); the last to arrive adds these up, in an
// order that does not depend on who that is.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_shares.h"
#include "functions.glsl"
#include "memory.glsl"
#include "reduce.glsl"
#include "special.glsl"

READ_F32(0, logits);
READ_I32(1, position);
READ_I32(2, options);
UPDATE_I32(3, chosen);
UPDATE_F32(4, sums);
#include "score.glsl"
#define PARTS 5
#include "arrival.glsl"

const float kNotAny = 0.0;  // of a share: no logit is finite
const float kFinite = 1.0;  // some are, and others are -infinity
const float kBroken = 2.0;  // one is NaN or infinity

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint sequence = workgroup_index() / shares;
  if (sequence >= sequences) return;
  const int made = load_i32(position, sequence);
  if (made < 0) return;
  const uint begin = min(workgroup_index() % shares * share_size, vocabulary);
  const uint end = min(begin + share_size, vocabulary);
  const uint base = sequence * vocabulary;
  float kind = kNotAny;
  float largest = -kLargest;
  for (uint i = begin + lane; i < end; i += LANES) {
    const float logit = load_f32(logits, base + i);
    if (is_finite(logit)) {
      kind = max(kind, kFinite);
      largest = max(largest, logit);
    } else if (floatBitsToUint(logit) != 0xff800000u) {
      kind = kBroken;
    }
  }
  kind = workgroup_max(kind);
  largest = workgroup_max(largest);
  float sum = 0.0;
  for (uint i = begin + lane; i < end; i += LANES) {
    const float logit = load_f32(logits, base + i);
    if (is_finite(logit)) sum += exp(logit - largest);
  }
  sum = workgroup_sum(sum);
  const uint first_part = sequence * words;
  if (lane == 0) {
    const uint own = first_part + workgroup_index() % shares * kShareWords;
    parts[own] = kind;
    parts[own + 1] = largest;
    parts[own + 2] = sum;
  }
  if (!arrives_last(sequence, shares)) return;

  kind = kNotAny;
  largest = -kLargest;
  for (uint s = lane; s < shares; s += LANES) {
    kind = max(kind, parts[first_part + s * kShareWords]);
    largest = max(largest, parts[first_part + s * kShareWords + 1]);
  }
  kind = workgroup_max(kind);
  largest = workgroup_max(largest);
  sum = 0.0;
  for (uint s = lane; s < shares; s += LANES) {
    const uint part = first_part + s * kShareWords;
    if (parts[part] == kFinite) sum += parts[part + 2] * exp(parts[part + 1] - largest);
  }
  sum = workgroup_sum(sum);
  if (lane == 0) add_score(sequence, uint(made), kind == kFinite ? largest + natural_log(sum) : kNan);
}
