#version 450
// variant ACCESS: storage texel
//
// y[i] = x[x_first + (i - begin) . stride] within x, around it as MODE says, as 32-bit words (engine/ops/pad.h). One
// element an invocation, four bytes read and four written.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

const uint kConstant = 0;
const uint kReflect = 1;
const uint kEdge = 2;

layout(push_constant) uniform Push {
  uint count;
  int x_first;
  uint mode;
  uint loops;
  uint y_size[7];
  int x_size[7];
  int begin[7];
  int stride[7];
};

READ_I32(0, x);
WRITE_I32(1, y);
READ_I32(2, value);

// Where in [0, size) element `at` of a dimension comes from.
int source(int at, int size) {
  if (mode == kEdge) return clamp(at, 0, size - 1);
  if (size == 1) return 0;
  const int period = mode == kReflect ? 2 * (size - 1) : size;
  // No remainder of a negative number: GLSL leaves it open.
  const int within = at >= 0 ? at % period : period - 1 - (-1 - at) % period;
  return mode == kReflect ? min(within, period - within) : within;
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  uint rest = i;
  int from = x_first;
  bool inside = true;
  for (uint d = loops; d > 0; --d) {
    const uint whole = rest / y_size[d - 1];
    int at = int(rest - whole * y_size[d - 1]) - begin[d - 1];
    rest = whole;
    if (mode == kConstant) {
      inside = inside && at >= 0 && at < x_size[d - 1];
    } else {
      at = source(at, x_size[d - 1]);
    }
    from += at * stride[d - 1];
  }
  y[i] = inside ? load_i32(x, from) : load_i32(value, 0);
}
