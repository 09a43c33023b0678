// Of the kernels that share the logits of a sequence among workgroups (include/sampler_shares.glsl).
#ifndef HEED_CONSTANTS_SAMPLE_SHARES_H
#define HEED_CONSTANTS_SAMPLE_SHARES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(SampleSharesConstants)
  CONSTANT(1, workgroup, LANES, 128)  // invocations once more: shared arrays are sized by a plain constant
  CONSTANT(2, bins, BINS, 256)        // of a histogram: a power of two
  CONSTANT(3, bin_bits, BIN_BITS, 8)  // its logarithm
END_SPECIALIZATION

PUSH_CONSTANTS(SampleSharesPush)
  uint sequences;
  uint vocabulary;
  uint first;       // element of the logits where the first sequence's row begins
  uint rows;        // tokens that a step consumes of a sequence
  uint context;     // positions that the history has
  uint shares;      // workgroups a sequence
  uint share_size;  // logits of each, but for the last
  uint words;       // of `parts` that a sequence has
  uint pass;        // of sample_search.comp, from 0
END_CONSTANTS

// Words of `parts`, for each sequence: those of the search, kShareWords for each share, three histograms.
BEGIN_VALUES
const uint kSearchWords = 16;
const uint kShareWords = 4;
const uint kHistograms = 3;
const uint kBinWords = 3;
END_VALUES

#endif
