// Constants of wavenet.comp (declare.h says how to read this).
#ifndef HEED_CONSTANTS_WAVENET_H
#define HEED_CONSTANTS_WAVENET_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(WavenetConstants)
  CONSTANT(1, residual, RESIDUAL, 1)  // channels, in groups of four
  CONSTANT(2, gate, GATE, 1)
  CONSTANT(3, skip, SKIP, 1)
  CONSTANT(4, hidden, HIDDEN, 1)
  CONSTANT(5, output_rows, OUTPUT_ROWS, 1)  // groups of four outputs
  CONSTANT(6, outputs, OUTPUTS, 1)          // numbers
  CONSTANT(7, levels, LEVELS, 0)            // 0: the first convolution reads values
  CONSTANT(8, kernel, KERNEL, 2)            // taps
  CONSTANT(9, input_kernel, INPUT_KERNEL, 1)
  CONSTANT(10, layers, LAYERS, 1)
  CONSTANT(11, work, WORK, 0)  // one of those below
  CONSTANT(12, widest, WIDEST, 1)  // groups of what a product reads, at most
END_SPECIALIZATION

PUSH_CONSTANTS(WavenetPush)
  uint first, steps;  // samples of the run that the dispatch makes
  uint hop;           // samples of a frame of conditions
  uint has_condition;
  float least_log_scale;
END_CONSTANTS

BEGIN_VALUES
const uint kDrawsLevels = 0;
const uint kDrawsLogistics = 1;
const uint kTellsLogits = 2;  // of samples that are given
END_VALUES

#endif
