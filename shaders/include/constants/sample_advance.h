#ifndef HEED_CONSTANTS_SAMPLE_ADVANCE_H
#define HEED_CONSTANTS_SAMPLE_ADVANCE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(SampleAdvanceConstants)
END_SPECIALIZATION

PUSH_CONSTANTS(SampleAdvancePush)
  uint sequences;  // an invocation each
  uint capacity;   // positions that the history and the table have
  uint keeps_table;  // 1: where keys lie is said by the host
END_CONSTANTS

#endif
