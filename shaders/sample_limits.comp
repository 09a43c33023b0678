#version 450
// variant ACCESS: storage texel
//
// What a search does not let come (engine/ops/sample_rows.cpp) becomes -infinity in a copy of the logits: tokens that are
// suppressed, end tokens before there are min_tokens, and what would repeat no_repeat tokens in a row. A workgroup a
// sequence.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample.h"
#include "memory.glsl"

READ_I32(0, position);
READ_I32(1, history);
READ_I32(2, options);
UPDATE_I32(3, limited);  // the copy, bits of floats
#include "search_options.glsl"

const int kMinusInfinity = int(0xff800000u);

uint sequence;
int token_at(uint at) { return load_i32(history, at * sequences + sequence); }

void forbid(int token) {
  // Atomic because lanes may name the same token.
  if (token >= 0 && token < int(vocabulary)) atomicExchange(limited[sequence * vocabulary + uint(token)], kMinusInfinity);
}

void main() {
  sequence = workgroup_index();
  if (sequence >= sequences) return;
  const int made = load_i32(position, sequence);
  if (made < 0) return;
  const uint lane = gl_LocalInvocationID.x;
  const uint suppressed = uint(load_i32(options, kSuppressedCount));
  for (uint i = lane; i < suppressed; i += gl_WorkGroupSize.x) forbid(load_i32(options, kSuppressed + i));
  if (made < load_i32(options, kMinTokens)) {
    const uint ends = uint(load_i32(options, kEndCount));
    for (uint i = lane; i < ends; i += gl_WorkGroupSize.x) forbid(load_i32(options, kEnds + i));
  }
  // The last n - 1 tokens, of positions up to `made`, stood before `end` too: the token there would make the n again.
  const uint n = uint(load_i32(options, kNoRepeat));
  if (n == 0 || uint(made) + 1 < n) return;
  for (uint end = n + lane; end <= uint(made); end += gl_WorkGroupSize.x) {
    bool same = true;
    for (uint back = 1; back < n && same; ++back) same = token_at(end - back) == token_at(uint(made) + 1 - back);
    if (same) forbid(token_at(end));
  }
}
