// What the sampling kernels share: the sampler's words (engine/ops/sample.h), how they read logits, and how a chosen token
// enters the step state. A workgroup serves one sequence, its own or the one that a kernel defines as SEQUENCE. By variant
// SEVERAL_1 (op sample_rows) the choice alone is written, since sample_advance.comp does the rest; with SAMPLER_READ_ONLY
// nothing is.
#ifndef HEED_SAMPLER_GLSL
#define HEED_SAMPLER_GLSL

#include "philox.glsl"

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
#ifndef SEQUENCE
#define SEQUENCE workgroup_index()
#endif
// Logits are read in blocks of WIDTH: vocabulary and first are multiples of it.
#ifdef VECTOR_4
#define Block vec4
const uint WIDTH = 4;
READ_F32X4(0, logits);
Block load_block(uint i) { return load_f32x4(logits, (first + SEQUENCE * vocabulary) / 4 + i); }
float block_logit(Block b, uint c) { return b[c]; }
#else
#define Block float
const uint WIDTH = 1;
READ_F32(0, logits);
Block load_block(uint i) { return load_f32(logits, first + SEQUENCE * vocabulary + i); }
float block_logit(Block b, uint c) { return b; }
#endif

// Whether a logit says that something went wrong: NaN or infinity. -infinity is a token that is never chosen. By its
// bits, since compilers may presume that there are no NaNs.
bool is_broken(float logit) {
  const uint bits = floatBitsToUint(logit);
  return (bits & 0x7fffffffu) >= 0x7f800000u && bits != 0xff800000u;
}

#if defined(SEVERAL_1) || defined(SAMPLER_READ_ONLY)
READ_I32(1, position);
READ_I32(2, sampler_state);

int sampler_word(uint word) { return load_i32(sampler_state, SEQUENCE * kSamplerWords + word); }
// Whether this workgroup has a sequence that goes on; the same for all its invocations.
bool has_sequence() { return SEQUENCE < sequences && load_i32(position, SEQUENCE) >= 0; }
#ifdef SEVERAL_1
WRITE_I32(3, chosen);
// Called by one invocation of a sequence, once.
void commit(int token) { chosen[SEQUENCE] = token; }
#endif
#else
UPDATE_I32(1, tokens);
UPDATE_I32(2, position);
UPDATE_I32(3, history);
UPDATE_I32(4, sampler_state);
WRITE_I32(5, chosen);

int sampler_word(uint word) { return sampler_state[word]; }
bool has_sequence() { return SEQUENCE == 0; }
void commit(int token) {
  const uint end = uint(position[0]) + rows;
  tokens[0] = token;
  if (end < context) history[end] = token;
  position[0] = int(end);
  sampler_state[kStep] += 1;
  chosen[0] = token;
}
#endif

// The sequence's next number: 24 bits of the generator Philox 4x32-10.
uint random_bits() {
  const uvec4 counter = uvec4(uint(sampler_word(kStep)), uint(sampler_word(kStream)), 0, 0);
  return philox(counter, uvec2(uint(sampler_word(kSeedLow)), uint(sampler_word(kSeedHigh)))).x >> 8;
}
#endif

#endif
