#version 450
// variant ACCESS: storage texel
//
// The repetition penalty on a copy of the logits (engine/ops/sample.cpp). Lanes of a workgroup go along the last tokens of
// a sequence's history. A token that stands there more than once gets the same value again, made from the untouched
// logits.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample.h"
#include "memory.glsl"
#include "sampler.glsl"

READ_I32(0, position);
READ_I32(1, history);
READ_I32(2, sampler_state);
READ_F32(3, logits);
UPDATE_I32(4, penalised);  // the copy, bits of floats

void main() {
  const uint sequence = workgroup_index();
  if (sequence >= sequences) return;
  const int at = load_i32(position, sequence);
  if (at < 0) return;
  const uint state = sequence * kSamplerWords;
  const uint end = min(uint(at) + rows, context);
  const uint window = min(uint(load_i32(sampler_state, state + kPenaltyWindow)), end);
  const float penalty = intBitsToFloat(load_i32(sampler_state, state + kPenalty));
  for (uint i = gl_LocalInvocationID.x; i < window; i += gl_WorkGroupSize.x) {
    const uint token = uint(load_i32(history, (end - 1 - i) * sequences + sequence));
    if (token >= vocabulary) continue;
    const float value = load_f32(logits, first + sequence * vocabulary + token);
    // Atomic because lanes may write the same value to one place.
    atomicExchange(penalised[sequence * vocabulary + token],
                   floatBitsToInt(value > 0.0 ? value / penalty : value * penalty));
  }
}
