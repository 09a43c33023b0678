#ifndef HEED_CONSTANTS_BEAM_SELECT_H
#define HEED_CONSTANTS_BEAM_SELECT_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(BeamSelectConstants)
  CONSTANT(1, keep, KEEP, 2)              // candidates of a row
  CONSTANT(2, beams, BEAMS, 1)
  CONSTANT(3, considered, CONSIDERED, 2)  // candidates of a sentence that are looked at
END_SPECIALIZATION

PUSH_CONSTANTS(BeamSelectPush)
  uint sentences;
  uint rows;
END_CONSTANTS

#endif
