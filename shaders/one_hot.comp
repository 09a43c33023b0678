#version 450
// variant ACCESS: storage texel
//
// y = values[1] at the place along a dimension that an index names, values[0] elsewhere (engine/ops/one_hot.cpp), as
// 32-bit words. One element an invocation, 12 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint depth;  // size of the dimension
  uint inner;  // elements between neighbours along it
};

READ_I32(0, indices);
READ_I32(1, values);
WRITE_I32(2, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint line = i / inner;
  const uint outer = line / depth;
  int index = load_i32(indices, outer * inner + (i - line * inner));
  if (index < 0) index += int(depth);
  const uint chosen = index == int(line - outer * depth) ? 1 : 0;
  y[i] = load_i32(values, chosen);
}
