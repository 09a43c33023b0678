#ifndef HEED_CONSTANTS_HALVES_H
#define HEED_CONSTANTS_HALVES_H
#include "constants/declare.h"

// Numbers as two halves of f16 that are multiples of a power of two, 2^(e - 14), which those that are multiplied together
// share. plan/weight_layout.h has the same for weights.
BEGIN_VALUES
const int kHalvesExponent = 14;         // the largest becomes 2^14 to 2^15
const int kLeastHalvesExponent = -112;  // e is not smaller
const int kInfiniteHalves = 200;        // one number is infinite: it is 1 or -1, and the others are 0
const int kNoHalves = 300;              // several are, or one is NaN: all are 0
END_VALUES

#endif
