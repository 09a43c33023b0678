#ifndef HEED_CONSTANTS_FILTER_LOGITS_H
#define HEED_CONSTANTS_FILTER_LOGITS_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(FilterLogitsConstants)
END_SPECIALIZATION

PUSH_CONSTANTS(FilterLogitsPush)
  uint sequences;  // a workgroup each
  uint vocabulary;
  uint first;  // element of the logits where the first sequence's row begins
END_CONSTANTS

#endif
