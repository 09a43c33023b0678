#version 450
// variant ACCESS: storage texel
//
// A copy of the last rows of logits in which the tokens that a sequence's mask leaves out are -infinity
// (engine/ops/adjust_logits.cpp); what is NaN or infinity stays so, since a mask must not hide it. An invocation a logit.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/adjust_logits.h"
#include "memory.glsl"
#include "special.glsl"

READ_I32(0, logits);  // bits of floats
READ_I32(1, rules);
READ_I32(2, mask);
WRITE_I32(3, masked);
#include "logit_rules.glsl"

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= sequences * vocabulary) return;
  const uint sequence = i / vocabulary;
  const uint token = i % vocabulary;
  int bits = load_i32(logits, first + i);
  if (rule_of(sequence, kMasked) != 0 && is_finite(intBitsToFloat(bits))) {
    const uint word = uint(load_i32(mask, sequence * mask_words + token / 32));
    if ((word >> (token % 32) & 1u) == 0) bits = int(0xff800000u);
  }
  masked[i] = bits;
}
