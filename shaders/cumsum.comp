#version 450
// variant ACCESS: storage texel
// variant KIND: real integer
//
// Running sums along a dimension (engine/ops/cumsum.cpp). An invocation takes a block of a line one after the other:
// either for their sum alone, or for the sums up to each of them, from what came before the block. 8 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WRAP = 0;
#include "memory.glsl"
#include "wrap.glsl"

layout(push_constant) uniform Push {
  uint count;         // blocks of all lines
  uint blocks;        // of a line
  uint block_length;
  uint length;        // of a line
  uint inner;         // elements between neighbours along it
  uint exclusive;     // without the element itself
  uint reverse;       // from the end
  uint sums_alone;    // y has a number for each block
  uint has_before;    // `before` has a number for each block
};

#ifdef KIND_real
READ_F32(0, x);
READ_F32(1, before);
WRITE_F32(2, y);
#define Number float
#define load load_f32
#define finish(sum) sum
#else
READ_I32(0, x);
READ_I32(1, before);
WRITE_I32(2, y);
#define Number int
#define load load_i32
#define finish(sum) wrap(WRAP, sum)
#endif

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint line = id / inner;
  const uint outer = line / blocks;
  const uint block = line - outer * blocks;
  const uint base = outer * length * inner + (id - line * inner);
  Number sum = Number(0);
  if (has_before == 1) sum = load(before, id);
  const uint end = min((block + 1) * block_length, length);
  for (uint i = block * block_length; i < end; ++i) {
    const uint at = base + (reverse == 1 ? length - 1 - i : i) * inner;
    const Number element = load(x, at);
    if (sums_alone == 0 && exclusive == 1) y[at] = finish(sum);
    sum += element;
    if (sums_alone == 0 && exclusive == 0) y[at] = finish(sum);
  }
  if (sums_alone == 1) y[id] = sum;
}
