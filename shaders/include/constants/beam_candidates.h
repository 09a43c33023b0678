#ifndef HEED_CONSTANTS_BEAM_CANDIDATES_H
#define HEED_CONSTANTS_BEAM_CANDIDATES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(BeamCandidatesConstants)
  CONSTANT(1, keep, KEEP, 2)            // candidates of a row
  CONSTANT(2, run_ahead, RUN_AHEAD, 0)  // each lane to its next good block, not all of them block by block
END_SPECIALIZATION

PUSH_CONSTANTS(BeamCandidatesPush)
  uint rows;
  uint vocabulary;
  uint beams;
  uint mark_words;  // of 32 tokens
END_CONSTANTS

#endif
