#version 450
// variant ACCESS: storage texel
//
// y[i] = x[x_first + (i - begin) . stride] within x, around it as MODE says, as 32-bit words (engine/ops/pad.h). An
// invocation takes RUN elements of a row, since finding the row costs more than they do: 8 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint RUN = 8;
layout(constant_id = 2) const uint MODE = 0;
#include "memory.glsl"

const uint kConstant = 0;
const uint kReflect = 1;
const uint kEdge = 2;

layout(push_constant) uniform Push {
  uint count;  // invocations with work
  int x_first;
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
  if (MODE == kEdge) return clamp(at, 0, size - 1);
  if (size == 1) return 0;
  const int period = MODE == kReflect ? 2 * (size - 1) : size;
  // No remainder of a negative number: GLSL leaves it open.
  const int within = at >= 0 ? at % period : period - 1 - (-1 - at) % period;
  return MODE == kReflect ? min(within, period - within) : within;
}

// Element `at` of a dimension, as elements of x; `inside` becomes false where it is none.
int step_of(int at, int size, int stride_of, inout bool inside) {
  if (MODE != kConstant) return source(at, size) * stride_of;
  inside = inside && at >= 0 && at < size;
  return at * stride_of;
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint inner = loops - 1;
  const uint length = y_size[inner];
  const uint runs = (length + RUN - 1) / RUN;
  const uint row = i / runs;
  const uint first = (i - row * runs) * RUN;
  uint rest = row;
  int row_from = x_first;
  bool row_inside = true;
  for (uint d = inner; d > 0; --d) {
    const uint whole = rest / y_size[d - 1];
    row_from += step_of(int(rest - whole * y_size[d - 1]) - begin[d - 1], x_size[d - 1], stride[d - 1], row_inside);
    rest = whole;
  }
  const int at = int(first) - begin[inner];
  const int size = x_size[inner];
  const int stride_of = stride[inner];
  const int outside = load_i32(value, 0);
  int run[RUN];
  for (uint r = 0; r < RUN; ++r) {
    bool inside = row_inside && first + r < length;
    const int from = row_from + step_of(at + int(r), size, stride_of, inside);
    // Every buffer holds an element 0.
    const int element = load_i32(x, inside ? from : 0);
    run[r] = inside ? element : outside;
  }
  const uint to = row * length + first;
  for (uint r = 0; r < RUN; ++r) {
    if (first + r < length) y[to + r] = run[r];
  }
}
