#version 450
// variant ACCESS: storage texel
// variant KIND: axis tuple
// variant TYPE: real integer
//
// Changes elements of y that indices name, one after the other (engine/ops/scatter.cpp). An invocation takes a line of
// elements that no other line changes, from element `begin` of the line to `end`, and of those places one in `parts`.
// KIND axis: an index for one dimension of y; nested loops over lines say where one begins in y and in the indices and
// updates. KIND tuple: so many indices side by side; the lines are the elements of what a tuple names. 12 bytes an
// element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint REDUCTION = 0;
layout(constant_id = 2) const uint WRAP = 0;
#include "memory.glsl"
#include "wrap.glsl"

#ifdef KIND_axis
layout(push_constant) uniform Push {
  uint lines, parts;
  uint begin, end;
  int size;       // of the dimension
  uint y_stride;  // along it
  uint i_stride;
  uint sizes[6];  // of the inner loops over lines
  uint y_strides[7];
  uint i_strides[7];
};
#else
layout(push_constant) uniform Push {
  uint lines, parts;
  uint begin, end;
  uint length;  // of a tuple
  int sizes[8];
  uint strides[8];
};
#endif

const uint kAdd = 1;
const uint kMultiply = 2;
const uint kMaximum = 3;
const uint kMinimum = 4;

READ_I32(0, indices);
#ifdef TYPE_real
READ_F32(1, updates);
UPDATE_F32(2, y);
#define Number float
#define load load_f32
#define finish(value) value
#include "special.glsl"
#else
READ_I32(1, updates);
UPDATE_I32(2, y);
#define Number int
#define load load_i32
#define finish(value) wrap(WRAP, value)
#define larger max
#define smaller min
#endif

void change(uint to, Number update) {
  if (REDUCTION == kAdd) update = finish(y[to] + update);
  if (REDUCTION == kMultiply) update = finish(y[to] * update);
  if (REDUCTION == kMaximum) update = larger(y[to], update);
  if (REDUCTION == kMinimum) update = smaller(y[to], update);
  y[to] = update;
}

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint line = id / parts;
  const uint part = id - line * parts;
  if (line >= lines) return;
#ifdef KIND_axis
  uint rest = line;
  uint to = 0;
  uint from = 0;
  for (uint loop = 0; loop < 6; ++loop) {
    const uint whole = rest / sizes[5 - loop];
    const uint step = rest - whole * sizes[5 - loop];
    to += step * y_strides[6 - loop];
    from += step * i_strides[6 - loop];
    rest = whole;
  }
  to += rest * y_strides[0];
  from += rest * i_strides[0];
  for (uint j = begin; j < end; ++j) {
    const uint at = from + j * i_stride;
    int index = load_i32(indices, at);
    if (index < 0) index += size;
    if (index < 0 || index >= size || uint(index) % parts != part) continue;
    change(to + uint(index) * y_stride, load(updates, at));
  }
#else
  for (uint j = begin; j < end; ++j) {
    uint to = 0;
    bool inside = true;
    for (uint d = 0; d < length; ++d) {
      int index = load_i32(indices, j * length + d);
      if (index < 0) index += sizes[d];
      inside = inside && index >= 0 && index < sizes[d];
      to += uint(index) * strides[d];
    }
    if (!inside || to / lines % parts != part) continue;
    change(to + line, load(updates, j * lines + line));
  }
#endif
}
