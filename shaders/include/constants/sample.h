#ifndef HEED_CONSTANTS_SAMPLE_H
#define HEED_CONSTANTS_SAMPLE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(SampleConstants)
END_SPECIALIZATION

PUSH_CONSTANTS(SamplePush)
  uint sequences;  // a workgroup each
  uint vocabulary;
  uint first;    // element of the logits where the first sequence's row begins
  uint rows;     // tokens that a step consumes of a sequence
  uint context;  // positions that the history has
END_CONSTANTS

#endif
