#version 450
// variant ACCESS: storage texel
//
// The first dispatch of a draw by many workgroups a sequence (engine/ops/sample_kernels.cpp): the largest logit, against
// which all others are weighed, and histograms of zeros for the search that follows.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_shares.h"
#include "memory.glsl"
#include "special.glsl"
#define PARTS 3
#define SAMPLER_READ_ONLY
#include "sampler_shares.glsl"

void main() {
  begin_share();
  if (!has_sequence()) return;
  for (uint i = share * LANES + lane; i < kHistograms * kBinWords * BINS; i += shares * LANES) {
    parts[histogram_at(0) + i] = 0;
  }
  uvec2 best;
  if (!finds_first(best) || lane != 0) return;
  parts[search_at(kBestKey)] = best.x;
  parts[search_at(kKeepKey)] = kLastKey;
  parts[search_at(kKeepEqual)] = 0xffffffffu;
  parts[search_at(kMassKey)] = kLastKey;
  parts[search_at(kGoal)] = 0;
}
