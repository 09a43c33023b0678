#version 450
// variant ACCESS: storage texel
//
// Rows of y sorted by the expert that each of them names, in tiles of ROWS rows of one expert for linear_matrix.comp
// (engine/ops/expert_linear.cpp). One workgroup; a lane owns every gl_WorkGroupSize.x-th expert and goes along all rows
// twice, which it counts first and then writes. A tile is ROWS + 1 numbers: its expert, and rows in their order, filled
// up with -1; tiles behind the last have expert -1. Rows whose expert is none of EXPERTS are in no tile.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint EXPERTS = 1;
layout(constant_id = 2) const uint ROWS = 4;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint rows;
  uint tiles;  // that there is room for
};

READ_I32(0, chosen);
WRITE_I32(1, y);

shared uint tiles_of[EXPERTS];

void main() {
  const uint lane = gl_LocalInvocationID.x;
  for (uint expert = lane; expert < EXPERTS; expert += gl_WorkGroupSize.x) {
    uint count = 0;
    for (uint t = 0; t < rows; ++t) count += load_i32(chosen, t) == int(expert) ? 1 : 0;
    tiles_of[expert] = (count + ROWS - 1) / ROWS;
  }
  barrier();
  for (uint expert = lane; expert < EXPERTS; expert += gl_WorkGroupSize.x) {
    uint tile = 0;
    for (uint e = 0; e < expert; ++e) tile += tiles_of[e];
    const uint end = tile + tiles_of[expert];
    uint filled = 0;  // of the tile
    for (uint t = 0; t < rows; ++t) {
      if (load_i32(chosen, t) != int(expert)) continue;
      if (filled == ROWS) {
        ++tile;
        filled = 0;
      }
      if (filled == 0) y[tile * (ROWS + 1)] = int(expert);
      ++filled;
      y[tile * (ROWS + 1) + filled] = int(t);
    }
    for (; tile < end && filled < ROWS; ++filled) y[tile * (ROWS + 1) + filled + 1] = -1;
  }
  uint used = 0;
  for (uint e = 0; e < EXPERTS; ++e) used += tiles_of[e];
  for (uint tile = used + lane; tile < tiles; tile += gl_WorkGroupSize.x) y[tile * (ROWS + 1)] = -1;
}
