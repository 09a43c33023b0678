#version 450
// variant ACCESS: storage texel
//
// Matrices laid out for matmul.comp: y[batch, row, column] = x at the place that nested loops give, with zeros in the
// rows and columns that fill up to a multiple of four (engine/ops/matmul.cpp). One element an invocation, 8 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LOOPS = 8;  // that take more than one step
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint rows, columns;                // of x
  uint padded_rows, padded_columns;  // of y
  uint sizes[7];
  uint strides[8];
};

READ_I32(0, x);
WRITE_I32(1, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint line = i / padded_columns;
  const uint column = i - line * padded_columns;
  const uint batch = line / padded_rows;
  const uint row = line - batch * padded_rows;
  if (row >= rows || column >= columns) {
    y[i] = 0;
    return;
  }
  uint rest = (batch * rows + row) * columns + column;
  uint from = 0;
  for (uint loop = 0; loop < LOOPS; ++loop) {
    const uint whole = loop + 1 < LOOPS ? rest / sizes[6 - loop] : 0;
    const uint part = loop + 1 < LOOPS ? rest - whole * sizes[6 - loop] : rest;
    from += part * strides[7 - loop];
    rest = whole;
  }
  y[i] = load_i32(x, from);
}
