#ifndef HEED_CONSTANTS_TOKEN_LOGPROBS_H
#define HEED_CONSTANTS_TOKEN_LOGPROBS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(TokenLogprobsConstants)
END_SPECIALIZATION

PUSH_CONSTANTS(TokenLogprobsPush)
  uint sequences;  // a workgroup each
  uint vocabulary;
  uint first;  // element of the logits where the first sequence's row begins
  uint depth;  // positions that are kept
END_CONSTANTS

// The most alternatives of a token; engine/ops/logit_rules.h says it, too.
BEGIN_VALUES
const uint kChoices = 20;
END_VALUES

#endif
