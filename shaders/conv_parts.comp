#version 450
// variant ACCESS: storage texel
//
// Adds up, in their order, the parts of sums that conv_matrix.comp or conv_cooperative.comp left ([parts, pictures,
// outputs, pixels of a picture]), and makes outputs of them. A lane has an output: it reads 4 bytes of each part next to
// its neighbours'.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv_parts.h"

#include "conv_epilogue.glsl"

READ_F32(0, parts_of_sums);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  float sum = 0.0;
  for (uint part = 0; part < parts; ++part) sum += load_f32(parts_of_sums, part * count + i);
  const uint place = i % plane;
  const uint channel = i / plane % outputs;
  const uint picture = i / plane / outputs;
  const uint y_row = width * BLOCK * BLOCK;
  const uint at = output_channel(picture, channel, outputs, plane * BLOCK * BLOCK, y_row) + place / width * y_row +
                  place % width * BLOCK;
  y[at] = finished(sum + bias_of(channel), at);
}
