#ifndef HEED_CONSTANTS_RECURRENT_H
#define HEED_CONSTANTS_RECURRENT_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(RecurrentConstants)
  CONSTANT(1, cell, CELL, 0)              // one of those below
  CONSTANT(2, function_f, FUNCTION_F, 0)  // numbers of engine/ops/functions.cpp; f, g and h are ONNX's names
  CONSTANT(3, function_g, FUNCTION_G, 0)
  CONSTANT(4, function_h, FUNCTION_H, 0)
END_SPECIALIZATION

PUSH_CONSTANTS(RecurrentPush)
  uint batch, width;
  uint steps, step;
  uint direction;         // number
  uint flags;             // sums of those below
  uint from, to, mixed;   // where h is and comes, and r h, in elements
  uint y_step, y_direction, y_batch;  // from one to the next, in elements
  float clip;
  float alphas[3];  // parameters of f, g and h
  float betas[3];
END_CONSTANTS

BEGIN_VALUES
const uint kRnn = 0;
const uint kGru = 1;  // reset after R
const uint kGruGates = 2;
const uint kGruState = 3;
const uint kLstm = 4;

const uint kReverse = 1;
const uint kHasH = 2;
const uint kHasC = 4;
const uint kHasBias = 8;
const uint kHasPeepholes = 16;
const uint kHasLengths = 32;
const uint kInputForget = 64;
const uint kClips = 128;
const uint kWritesY = 256;
END_VALUES

#endif
