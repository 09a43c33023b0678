#version 450
// variant ACCESS: storage texel
//
// The largest of each row of logits, and their shares (engine/ops/route.cpp). A workgroup takes a row; its lanes own
// every gl_WorkGroupSize.x-th expert, and each finds its place by counting those before it, so that no lane waits for
// another's comparison. The logits are read once an expert, from the same place by all lanes. Sums go by rank, or by
// expert, whatever the number of lanes. Shares among those that are near take a pass over the logits for each of the
// chosen, which lanes divide among themselves.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CHOSEN = 1;
layout(constant_id = 2) const uint SHARES = 0;  // of each among all, 1: among the chosen, 2: among those near behind it
#include "memory.glsl"
#include "order.glsl"
#include "special.glsl"

layout(push_constant) uniform Push {
  uint rows;
  uint experts;
  float scale;
  float threshold;
};

READ_I32(0, logits);
WRITE_I32(1, ids);
WRITE_F32(2, weights);

shared float best[CHOSEN];
shared uint expert_of[CHOSEN];

float logit(uint i) { return intBitsToFloat(load_i32(logits, i)); }

// What expert `own` has of itself and those behind it whose logits are near.
float share_of_near(uint base, uint own, float own_logit) {
  const int key = order_of_real(load_i32(logits, base + own));
  float sum = 0.0;
  for (uint i = 0; i < experts; ++i) {
    const int other = order_of_real(load_i32(logits, base + i));
    const bool comes_before = other > key || (other == key && i < own);
    const float x = logit(base + i);
    if (!comes_before && own_logit - x <= threshold * max(abs(x), own_logit)) sum += exponential(x - own_logit);
  }
  return 1.0 / sum;
}

void main() {
  const uint row = workgroup_index();
  if (row >= rows) return;
  const uint base = row * experts;
  for (uint i = gl_LocalInvocationID.x; i < experts; i += gl_WorkGroupSize.x) {
    const int key = order_of_real(load_i32(logits, base + i));
    uint rank = 0;
    for (uint j = 0; j < experts; ++j) {
      const int other = order_of_real(load_i32(logits, base + j));
      rank += other > key || (other == key && j < i) ? 1 : 0;
    }
    if (rank < CHOSEN) {
      ids[row * CHOSEN + rank] = int(i);
      best[rank] = logit(base + i);
      expert_of[rank] = i;
    }
  }
  barrier();
  if (SHARES == 2) {
    for (uint r = gl_LocalInvocationID.x; r < CHOSEN; r += gl_WorkGroupSize.x) {
      weights[row * CHOSEN + r] = is_finite(best[r]) ? share_of_near(base, expert_of[r], best[r]) * scale : kNan;
    }
    return;
  }
  const float largest = best[0];  // NaN where there is one
  float sum = 0.0;
  if (SHARES == 1) {
    for (uint r = 0; r < CHOSEN; ++r) sum += exponential(best[r] - largest);
  } else {
    for (uint i = 0; i < experts; ++i) sum += exponential(logit(base + i) - largest);
  }
  for (uint r = gl_LocalInvocationID.x; r < CHOSEN; r += gl_WorkGroupSize.x) {
    // Compilers make 0 of best[0] - best[0], which is NaN where it is infinite.
    weights[row * CHOSEN + r] = is_finite(largest) ? exponential(best[r] - largest) / sum * scale : kNan;
  }
}
