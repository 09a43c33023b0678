// What the sampling kernels share: the sampler's words (engine/ops/sample.h), how they read logits, and how a chosen token
// enters the step state. A workgroup serves one sequence. By variant SEVERAL_1 (op sample_rows) the choice alone is
// written, since sample_advance.comp does the rest.
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
const uint kStream = 9;
const uint kSamplerWords = 16;

#ifdef HEED_SAMPLER_STATE
// Logits are read in blocks of WIDTH: vocabulary and first are multiples of it.
#ifdef VECTOR_4
#define Block vec4
const uint WIDTH = 4;
READ_F32X4(0, logits);
Block load_block(uint i) { return load_f32x4(logits, (first + workgroup_index() * vocabulary) / 4 + i); }
float block_logit(Block b, uint c) { return b[c]; }
#else
#define Block float
const uint WIDTH = 1;
READ_F32(0, logits);
Block load_block(uint i) { return load_f32(logits, first + workgroup_index() * vocabulary + i); }
float block_logit(Block b, uint c) { return b; }
#endif

// Whether a logit says that something went wrong: NaN or infinity. -infinity is a token that is never chosen. By its
// bits, since compilers may presume that there are no NaNs.
bool is_broken(float logit) {
  const uint bits = floatBitsToUint(logit);
  return (bits & 0x7fffffffu) >= 0x7f800000u && bits != 0xff800000u;
}

#ifdef SEVERAL_1
READ_I32(1, position);
READ_I32(2, sampler_state);
WRITE_I32(3, chosen);

int sampler_word(uint word) { return load_i32(sampler_state, workgroup_index() * kSamplerWords + word); }
// Whether this workgroup has a sequence that goes on; the same for all its invocations.
bool has_sequence() { return workgroup_index() < sequences && load_i32(position, workgroup_index()) >= 0; }
// Called by one invocation, once.
void commit(int token) { chosen[workgroup_index()] = token; }
#else
UPDATE_I32(1, tokens);
UPDATE_I32(2, position);
UPDATE_I32(3, history);
UPDATE_I32(4, sampler_state);
WRITE_I32(5, chosen);

int sampler_word(uint word) { return sampler_state[word]; }
bool has_sequence() { return workgroup_index() == 0; }
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

#endif
