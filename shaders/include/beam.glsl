// What the kernels of beam search share.
#ifndef HEED_BEAM_GLSL
#define HEED_BEAM_GLSL

#include "search_options.glsl"

const int kAtOnce = 1;
const int kNever = 2;

// States of a sentence in `progress`.
const int kBroken = -1;
const int kRunning = 0;
const int kDone = 1;

// Words of a candidate: score, token. Tokens that are none:
const uint kCandidateWords = 2;
const int kNoToken = -1;
const int kBrokenRow = -2;  // of the first candidate: the row of logits holds NaN or infinity

// Of a beam or candidate that there is not; the others have more than kLeastScore.
const float kNoScore = -3.0e38;
const float kLeastScore = -1.0e38;

#endif
