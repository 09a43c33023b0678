#version 450
// variant ACCESS: storage texel
//
// Adds up, in their order, the parts of sums that linear_tiles.comp left ([parts, rows, columns, and partners behind them]),
// and makes y of them. A lane has an element of y: it reads 4 bytes of each part (gated: 8) next to its neighbours'.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear_parts.h"

#include "memory.glsl"
#include "linear_epilogue.glsl"

READ_F32(5, parts_of_sums);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint t = i / count;
  const uint column = i % count;
  if (t >= rows) return;
  float sum = 0.0;
  float partner = 0.0;
  for (uint part = 0; part < parts; ++part) {
    const uint from = (part * rows + t) * count * (1 + GATED) + column;
    sum += load_f32(parts_of_sums, from);
    if (GATED == 1) partner += load_f32(parts_of_sums, from + count);
  }
  write_y(t, first + column, sum, partner);
}
