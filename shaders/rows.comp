#version 450
// variant ACCESS: storage texel
//
// y[i] = x[skip + i] as 32-bit words, x[0] + i, x[0], or max(x[i], 0), by KIND: engine/ops/rows.cpp (tail, positions),
// engine/ops/store.cpp, and engine/ops/constant.cpp.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KIND = 0;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint skip;
};

READ_I32(0, x);
WRITE_I32(1, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  if (KIND == 0) {
    y[i] = load_i32(x, skip + i);
  } else if (KIND == 3) {
    y[i] = max(load_i32(x, i), 0);
  } else {
    y[i] = load_i32(x, 0) + (KIND == 1 ? int(i) : 0);
  }
}
