#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Log probabilities of a token that was chosen and of the most probable ones (engine/ops/token_logprobs.cpp), by one
// workgroup a sequence. A pass over the logits finds the largest, one their sum, and one more for each alternative the
// largest behind the one before it; a pass reads all logits once, of sequences that ask for it.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/token_logprobs.h"
#include "functions.glsl"
#include "memory.glsl"
#include "reduce.glsl"
#include "special.glsl"

READ_F32(0, logits);
READ_I32(1, place);
READ_I32(2, chosen);
READ_I32(3, rules);
UPDATE_F32(4, values);
UPDATE_I32(5, tokens);
#include "logit_rules.glsl"

shared float shared_largest[gl_WorkGroupSize.x];
shared uint shared_tokens[gl_WorkGroupSize.x];

uint sequence;
uint lane;
float load_logit(uint i) { return load_f32(logits, first + sequence * vocabulary + i); }

// Of the tokens behind `before` in the order of logits, those of equals in their own, the first; `vocabulary` where there
// is none. `value` becomes its logit.
uint next_best(inout float value, uint before) {
  float own = -kInfinity;
  uint token = vocabulary;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float logit = load_logit(i);
    const bool behind = before >= vocabulary || logit < value || (logit == value && i > before);
    if (behind && (token == vocabulary || logit > own)) {
      own = logit;
      token = i;
    }
  }
  barrier();
  shared_largest[lane] = own;
  shared_tokens[lane] = token;
  barrier();
  for (uint count = gl_WorkGroupSize.x; count > 1; count = (count + 1) / 2) {
    const uint other = lane + (count + 1) / 2;
    if (other < count) {
      const uint from = shared_tokens[other];
      const uint mine = shared_tokens[lane];
      const float theirs = shared_largest[other];
      const float ours = shared_largest[lane];
      const bool better = from < vocabulary && (mine == vocabulary || theirs > ours || (theirs == ours && from < mine));
      if (better) {
        shared_largest[lane] = theirs;
        shared_tokens[lane] = from;
      }
    }
    barrier();
  }
  value = shared_largest[0];
  return shared_tokens[0];
}

void main() {
  sequence = workgroup_index();
  if (sequence >= sequences) return;
  const int at = load_i32(place, sequence);
  const uint wanted = uint(rule_of(sequence, kLogprobs));
  if (at <= 0 || wanted == 0) return;
  lane = gl_LocalInvocationID.x;
  float largest = -kInfinity;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) largest = larger(largest, load_logit(i));
  largest = workgroup_max(largest);
  float sum = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) sum += exponential(load_logit(i) - largest);
  sum = workgroup_sum(sum);
  const float log_sum = largest + natural_log(sum);
  const uint slot = uint(at) % depth * sequences + sequence;
  if (lane == 0) {
    const uint token = uint(load_i32(chosen, sequence));
    values[slot * (kChoices + 1)] = token < vocabulary ? load_logit(token) - log_sum : -kInfinity;
  }
  float value = 0.0;
  uint token = vocabulary;
  bool any = true;
  for (uint n = 0; n < min(wanted - 1, kChoices); ++n) {
    if (any) token = next_best(value, token);
    any = token < vocabulary;
    if (lane == 0) {
      values[slot * (kChoices + 1) + 1 + n] = any ? value - log_sum : -kInfinity;
      tokens[slot * kChoices + n] = any ? int(token) : -1;
    }
  }
}
