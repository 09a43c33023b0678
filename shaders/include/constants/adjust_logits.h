#ifndef HEED_CONSTANTS_ADJUST_LOGITS_H
#define HEED_CONSTANTS_ADJUST_LOGITS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(AdjustLogitsConstants)
END_SPECIALIZATION

PUSH_CONSTANTS(AdjustLogitsPush)
  uint sequences;  // a workgroup each
  uint vocabulary;
  uint first;       // element of the logits where the first sequence's row begins
  uint rows;        // tokens that a step consumes of a sequence
  uint context;     // positions that the history has
  uint list_words;  // of a sequence
  uint mask_words;  // of a sequence
END_CONSTANTS

// How long a repetition DRY sees; engine/ops/logit_rules.h says it, too.
BEGIN_VALUES
const uint kDryLength = 64;
END_VALUES

#endif
