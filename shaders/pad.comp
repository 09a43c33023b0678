#version 450
// variant ACCESS: storage texel
//
// y[i] = x[x_first + (i - begin) . stride] within x, around it as the mode says, as 32-bit words (engine/ops/pad.h). An
// invocation takes RUN elements of a row, since finding the row costs more than they do: 8 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint RUN = 8;
#include "memory.glsl"

const uint kConstant = 0;
const uint kReflect = 1;
const uint kEdge = 2;

layout(push_constant) uniform Push {
  uint count;  // invocations with work
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

// Where element `at` of dimension d comes from.
int step_of(int at, uint d, inout bool inside) {
  if (mode == kConstant) {
    inside = inside && at >= 0 && at < x_size[d];
    return at * stride[d];
  }
  return source(at, x_size[d]) * stride[d];
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint inner = loops - 1;
  const uint runs = (y_size[inner] + RUN - 1) / RUN;
  const uint row = i / runs;
  const uint first = (i - row * runs) * RUN;
  uint rest = row;
  int row_from = x_first;
  bool row_inside = true;
  for (uint d = inner; d > 0; --d) {
    const uint whole = rest / y_size[d - 1];
    row_from += step_of(int(rest - whole * y_size[d - 1]) - begin[d - 1], d - 1, row_inside);
    rest = whole;
  }
  for (uint r = 0; r < RUN; ++r) {
    if (first + r >= y_size[inner]) break;
    bool inside = row_inside;
    const int from = row_from + step_of(int(first + r) - begin[inner], inner, inside);
    y[row * y_size[inner] + first + r] = inside ? load_i32(x, from) : load_i32(value, 0);
  }
}
