#version 450
// variant ACCESS: storage texel
// variant WIDTH: 1 4
//
// y[y_first + i . y_strides] = x[x_first + i . x_strides] for every index i of nested loops, as 32-bit words or as vectors
// of four (engine/ops/strided.h). One of them an invocation; strides are signed.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LOOPS = 8;  // that take more than one step
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  int x_first, y_first;
  uint size1, size2, size3, size4, size5, size6, size7;
  int x0, x1, x2, x3, x4, x5, x6, x7;
  int y0, y1, y2, y3, y4, y5, y6, y7;
};

#ifdef WIDTH_4
READ_U32X4(0, x);
WRITE_U32X4(1, y);
#define load load_u32x4
#else
READ_I32(0, x);
WRITE_I32(1, y);
#define load load_i32
#endif

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  uint rest = i;
  int from = x_first;
  int to = y_first;
#define STEP(size, x_stride, y_stride)        \
  {                                           \
    const uint whole = rest / size;           \
    const int part = int(rest - whole * size); \
    from += part * x_stride;                  \
    to += part * y_stride;                    \
    rest = whole;                             \
  }
  if (LOOPS > 1) STEP(size7, x7, y7)
  if (LOOPS > 2) STEP(size6, x6, y6)
  if (LOOPS > 3) STEP(size5, x5, y5)
  if (LOOPS > 4) STEP(size4, x4, y4)
  if (LOOPS > 5) STEP(size3, x3, y3)
  if (LOOPS > 6) STEP(size2, x2, y2)
  if (LOOPS > 7) STEP(size1, x1, y1)
  const int x_rest = LOOPS > 7 ? x0 : LOOPS > 6 ? x1 : LOOPS > 5 ? x2 : LOOPS > 4 ? x3 : LOOPS > 3 ? x4 : LOOPS > 2 ? x5 : LOOPS > 1 ? x6 : x7;
  const int y_rest = LOOPS > 7 ? y0 : LOOPS > 6 ? y1 : LOOPS > 5 ? y2 : LOOPS > 4 ? y3 : LOOPS > 3 ? y4 : LOOPS > 2 ? y5 : LOOPS > 1 ? y6 : y7;
  y[to + int(rest) * y_rest] = load(x, from + int(rest) * x_rest);
}
