// What the kernels of beam search share: the words of `options` (engine/ops/beam_search.h) and what is a token that ends.
#ifndef HEED_BEAM_GLSL
#define HEED_BEAM_GLSL

const uint kMaxTokens = 0;
const uint kMinTokens = 1;
const uint kNoRepeat = 2;
const uint kEarlyStop = 3;
const uint kLengthPenalty = 4;
const uint kEndCount = 5;
const uint kSuppressedCount = 6;
const uint kForced = 7;
const uint kForcedLast = 8;
const uint kRenormalise = 9;
const uint kRepetitionPenalty = 10;
const uint kEnds = 16;
const uint kSuppressed = 32;
const uint kFirstForced = 128;

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

bool is_end(int token) {
  const int count = load_i32(options, kEndCount);
  for (int i = 0; i < count; ++i) {
    if (load_i32(options, kEnds + uint(i)) == token) return true;
  }
  return false;
}

#endif
