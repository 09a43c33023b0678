// How a chosen token enters the sum of its sequence, for the kernels that score it. They declare `logits`, `options`,
// `chosen` and `sums` before, and the push constant `vocabulary`.
#ifndef HEED_SCORE_GLSL
#define HEED_SCORE_GLSL

#include "search_options.glsl"

// `log_sum`: the logarithm of the sum of the exponentials of all logits. Called by one invocation of a sequence, once.
void add_score(uint sequence, uint made, float log_sum) {
  const int forced = forced_token(sequence, made);
  int token = forced >= 0 ? forced : chosen[sequence];
  // Where a logit is broken that may not come: the choice was made without it.
  if (!is_finite(log_sum)) token = -1;
  if (forced < 0 && token >= 0) sums[sequence] += load_f32(logits, sequence * vocabulary + uint(token)) - log_sum;
  chosen[sequence] = token;
}

#endif
