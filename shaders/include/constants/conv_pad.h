#ifndef HEED_CONSTANTS_CONV_PAD_H
#define HEED_CONSTANTS_CONV_PAD_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(ConvPadConstants)
  CONSTANT(1, run, RUN, 8)      // vec4s of an invocation
  CONSTANT(2, shift, SHIFT, 1)  // elements of a vec4 of x that go into the next one of y
  CONSTANT(3, deep, DEEP, 0)    // there are several slices
END_SPECIALIZATION

PUSH_CONSTANTS(ConvPadPush)
  uint count;                    // invocations with work
  uint row_words, rows, slices;  // of y: vec4s in a row, and so on
  int in_elements, in_words;     // of a row of x
  int in_rows, in_slices;
  int begin_x, begin_y, begin_z;  // of y, in elements, before the first of x
  int before_words;               // begin_x in vec4s, rounded down
END_CONSTANTS

#endif
