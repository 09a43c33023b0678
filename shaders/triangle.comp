#version 450
// variant ACCESS: storage texel
//
// y = x on one side of a diagonal and 0 on the other (engine/ops/triangle.cpp), as 32-bit words. One element an
// invocation, 8 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint rows, columns;
  int diagonal;  // columns to the right
  uint upper;    // side stays
};

READ_I32(0, x);
WRITE_I32(1, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const int right = int(i % columns) - int(i / columns % rows);
  if (upper == 1 ? right >= diagonal : right <= diagonal) {
    y[i] = load_i32(x, i);
  } else {
    y[i] = 0;
  }
}
