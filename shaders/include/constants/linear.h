// Of linear_vector.comp, linear_lanes.comp and linear_matrix.comp.
#ifndef HEED_CONSTANTS_LINEAR_H
#define HEED_CONSTANTS_LINEAR_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearConstants)
CONSTANT(1, rows, ROWS, 4)  // of weights or x, as each kernel says
CONSTANT(2, activation, ACTIVATION, 0)
CONSTANT(3, has_bias, HAS_BIAS, 0)
CONSTANT(4, has_residual, HAS_RESIDUAL, 0)
CONSTANT(5, has_norm, HAS_NORM, 0)
CONSTANT(6, gated, GATED, 0)
CONSTANT(7, band, BAND, 1)
CONSTANT(8, by_expert, BY_EXPERT, 0)  // a row of y names its weight among several (experts.glsl)
CONSTANT(9, x_rows, X_ROWS, 1)  // rows of x that a workgroup of linear_lanes.comp takes
END_SPECIALIZATION

PUSH_CONSTANTS(LinearPush)
uint rows;       // of x
uint columns;    // K
uint row_units;  // units of a weight row (weights.glsl)
uint count;      // output columns of this dispatch
uint first;      // the first of them
uint width;      // output columns altogether; a gated weight has twice as many rows
float norm_eps;
uint share;    // how work is shared among workgroups, as each kernel says
uint experts;  // of a stack of weights; with these `first` and `count` are weight rows of all of them
uint sharers;  // rows of y that read the same row of x, one after the other
END_CONSTANTS

#endif
