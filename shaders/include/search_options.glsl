// The words of a search's `options` (engine/ops/search.h), and which tokens end; a kernel declares `options` before.
#ifndef HEED_SEARCH_OPTIONS_GLSL
#define HEED_SEARCH_OPTIONS_GLSL

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

bool is_end(int token) {
  const int count = load_i32(options, kEndCount);
  for (int i = 0; i < count; ++i) {
    if (load_i32(options, kEnds + uint(i)) == token) return true;
  }
  return false;
}

// What token number `made`, from 0, of sequence `sequence` must be, -1: it is free.
int forced_token(uint sequence, uint made) {
  const uint forced = uint(load_i32(options, kForced));
  if (made < forced) {
    const int token = load_i32(options, kFirstForced + sequence * forced + made);
    if (token >= 0) return token;
  }
  return int(made) + 1 == load_i32(options, kMaxTokens) ? load_i32(options, kForcedLast) : -1;
}

#endif
