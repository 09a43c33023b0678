#ifndef HEED_CONSTANTS_HALVES_H
#define HEED_CONSTANTS_HALVES_H
#include "constants/declare.h"

// Numbers as two halves of f16 that are multiples of a power of two, 2^(e - 14), which those that are multiplied together
// share. A first half is 0 only where its number is. plan/weight_layout.h has the same for weights.
BEGIN_VALUES
const int kHalvesExponent = 14;         // the largest becomes 2^14 to 2^15
const int kLeastHalvesExponent = -112;  // e is not smaller
const int kBrokenHalves = 1024;         // more than e where a number is not finite: its first half is then the same of f16
END_VALUES

#endif
