#ifndef HEED_CONSTANTS_BEAM_ADVANCE_H
#define HEED_CONSTANTS_BEAM_ADVANCE_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(BeamAdvanceConstants)
  CONSTANT(1, beams, BEAMS, 1)
END_SPECIALIZATION

PUSH_CONSTANTS(BeamAdvancePush)
  uint sentences;
  uint rows;
  uint capacity;  // positions that the table and the records have
END_CONSTANTS

#endif
