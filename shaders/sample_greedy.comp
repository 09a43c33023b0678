#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SEVERAL: 0 1
//
// The largest finite logit, the first of equals (engine/ops/sample.cpp). A workgroup a sequence; each lane scans every
// gl_WorkGroupSize.x-th block, lane 0 compares their winners in order.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample.h"
#include "memory.glsl"
#include "special.glsl"
#define HEED_SAMPLER_STATE
#include "sampler.glsl"

shared float best_values[gl_WorkGroupSize.x];
shared uint best_tokens[gl_WorkGroupSize.x];

const uint kNowhere = 0xffffffffu;
const uint kBroken = 0xfffffffeu;  // instead of a lane's token

void main() {
  if (!has_sequence()) return;
  const uint lane = gl_LocalInvocationID.x;
  float best = -kLargest;
  uint token = kNowhere;
  bool broken = false;
  for (uint i = lane; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH; ++c) {
      const float value = block_logit(block, c);
      broken = broken || is_broken(value);
      const bool finite = is_finite(value);
      if (finite && (value > best || token == kNowhere)) {
        best = value;
        token = i * WIDTH + c;
      }
    }
  }
  best_values[lane] = best;
  best_tokens[lane] = broken ? kBroken : token;
  barrier();
  if (lane != 0) return;
  for (uint i = 1; i < gl_WorkGroupSize.x; ++i) {
    broken = broken || best_tokens[i] == kBroken;
    const bool here = best_tokens[i] < kBroken;
    if (here && (token == kNowhere || best_values[i] > best || (best_values[i] == best && best_tokens[i] < token))) {
      best = best_values[i];
      token = best_tokens[i];
    }
  }
  commit(broken || token == kNowhere ? -1 : int(token));
}
