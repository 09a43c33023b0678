// Of linear_tiles.comp. Names that linear.h has too mean the same.
#ifndef HEED_CONSTANTS_LINEAR_TILES_H
#define HEED_CONSTANTS_LINEAR_TILES_H
#include "constants/declare.h"

SPECIALIZATION_CONSTANTS(LinearTilesConstants)
CONSTANT(1, tile_rows, TILE_ROWS, 64)  // of x
CONSTANT(2, tile_columns, TILE_COLUMNS, 64)  // of y; with a gate half as many, and their partners
CONSTANT(3, lane_rows, LANE_ROWS, 8)
CONSTANT(4, lane_columns, LANE_COLUMNS, 4)
CONSTANT(5, activation, ACTIVATION, 0)
CONSTANT(6, has_bias, HAS_BIAS, 0)
CONSTANT(7, has_residual, HAS_RESIDUAL, 0)
CONSTANT(8, gated, GATED, 0)
CONSTANT(9, band, BAND, 1)
CONSTANT(10, by_expert, BY_EXPERT, 0)
CONSTANT(11, in_parts, IN_PARTS, 0)      // linear_parts.comp adds the sums up
CONSTANT(12, unit_lanes, UNIT_LANES, 1)  // lanes that share a unit of weights
END_SPECIALIZATION

PUSH_CONSTANTS(LinearTilesPush)
uint rows;
uint columns;
uint row_units;
uint count;
uint first;
uint width;
uint experts;
uint sharers;
uint row_tiles;   // tiles that lie one below the other
uint parts;       // of a sum
uint part_steps;  // and their length, in steps of 32 columns of x
END_CONSTANTS

#endif
