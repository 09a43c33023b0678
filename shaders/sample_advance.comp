#version 450
// variant ACCESS: storage texel
//
// Sampling of several sequences, the step state for the next step (engine/ops/sample_rows.cpp): an invocation enters the
// token of one sequence.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_advance.h"
#include "memory.glsl"
#include "sampler.glsl"

READ_I32(0, chosen);
READ_I32(1, options);
WRITE_I32(2, tokens);
UPDATE_I32(3, position);
WRITE_I32(4, parents);
WRITE_I32(5, history);
UPDATE_I32(6, sampler_state);
WRITE_I32(7, table);
#include "search_options.glsl"

void main() {
  const uint sequence = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (sequence >= sequences) return;
  const int made = position[sequence];
  if (made < 0) return;
  const int token = load_i32(chosen, sequence);
  const uint next = uint(made) + 1;
  const bool fits = next < capacity;
  if (fits) {
    const uint place = next * sequences + sequence;
    history[place] = token;
    if (keeps_table == 0) table[place] = int(place);
  }
  parents[sequence] = int(sequence);
  tokens[sequence] = max(token, 0);
  const bool done = token < 0 || is_end(token) || int(next) == load_i32(options, kMaxTokens);
  position[sequence] = done || !fits ? -1 : int(next);
  sampler_state[sequence * kSamplerWords + kStep] += 1;
}
