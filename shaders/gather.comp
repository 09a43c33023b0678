#version 450
// variant ACCESS: storage texel
// variant KIND: axis tuple
//
// y[i] = x at a place that indices name (engine/ops/gather.cpp), as 32-bit words. One element an invocation; outside x
// lies 0. KIND axis: one index an element, for one dimension of x; nested loops over y say where in x (but for that
// dimension) and in the indices an element begins. KIND tuple: so many indices side by side for the dimensions of x
// after `batch`, and `inner` elements for each tuple. 12 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint LOOPS = 8;  // that take more than one step
#include "memory.glsl"

#ifdef KIND_axis
layout(push_constant) uniform Push {
  uint count;
  int size;     // of the dimension
  uint stride;  // of x along it
  uint sizes[7];
  uint x_strides[8];
  uint i_strides[8];
};
#else
layout(push_constant) uniform Push {
  uint count;
  uint inner;
  uint tuples;        // of a batch
  uint batch_stride;  // of x
  uint length;        // of a tuple
  int sizes[8];
  uint strides[8];
};
#endif

READ_I32(0, x);
READ_I32(1, indices);
WRITE_I32(2, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
#ifdef KIND_axis
  uint rest = i;
  uint from = 0;
  uint at = 0;
  for (uint loop = 0; loop < LOOPS; ++loop) {
    const uint whole = loop + 1 < LOOPS ? rest / sizes[6 - loop] : 0;
    const uint part = loop + 1 < LOOPS ? rest - whole * sizes[6 - loop] : rest;
    from += part * x_strides[7 - loop];
    at += part * i_strides[7 - loop];
    rest = whole;
  }
  int index = load_i32(indices, at);
  if (index < 0) index += size;
  const bool inside = index >= 0 && index < size;
  from += uint(index) * stride;
#else
  const uint tuple = i / inner;
  uint from = tuple / tuples * batch_stride + (i - tuple * inner);
  bool inside = true;
  for (uint d = 0; d < length; ++d) {
    int index = load_i32(indices, tuple * length + d);
    if (index < 0) index += sizes[d];
    inside = inside && index >= 0 && index < sizes[d];
    from += uint(index) * strides[d];
  }
#endif
  if (inside) {
    y[i] = load_i32(x, from);
  } else {
    y[i] = 0;
  }
}
