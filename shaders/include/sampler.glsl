// What the sampling kernels share: the sampler's words (engine/ops/sample.h) and how a chosen token enters the step
// state.
#ifndef HEED_SAMPLER_GLSL
#define HEED_SAMPLER_GLSL

const uint kSeedLow = 0;
const uint kSeedHigh = 1;
const uint kStep = 2;
const uint kTemperature = 3;
const uint kTopK = 4;
const uint kTopP = 5;
const uint kMinP = 6;
const uint kPenalty = 7;
const uint kPenaltyWindow = 8;

#ifdef HEED_SAMPLER_STATE
layout(push_constant) uniform Push {
  uint vocabulary;
  uint first;    // element of the logits' last row
  uint rows;     // tokens that this step has consumed
  uint context;  // length of the history
};

READ_F32(0, logits);
UPDATE_I32(1, tokens);
UPDATE_I32(2, position);
UPDATE_I32(3, history);
UPDATE_I32(4, sampler_state);
WRITE_I32(5, chosen);

float logit(uint i) { return load_f32(logits, first + i); }

// Called by one invocation, once.
void commit(int token) {
  const uint end = uint(position[0]) + rows;
  tokens[0] = token;
  if (end < context) history[end] = token;
  position[0] = int(end);
  sampler_state[kStep] += 1;
  chosen[0] = token;
}
#endif

#endif
