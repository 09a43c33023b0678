#version 450
// variant ACCESS: storage texel
// variant SEVERAL: 0 1
//
// The largest finite logit, the first of equals (engine/ops/sample.cpp), as sample_greedy.comp finds it, by many
// workgroups a sequence. Each reads its share once and leaves the best of it; the last to arrive compares these.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_shares.h"
#include "memory.glsl"
#include "special.glsl"
#ifdef SEVERAL_1
#define PARTS 4
#else
#define PARTS 6
#endif
#include "sampler_shares.glsl"

void main() {
  begin_share();
  if (!has_sequence()) return;
  uvec2 best;
  if (!finds_first(best) || lane != 0) return;
  commit(best.x == kBrokenKey || best.x == kNoKey ? -1 : int(best.y));
}
