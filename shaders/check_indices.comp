#version 450
// variant ACCESS: storage texel
//
// Looks for integers that name no place (Lowering::check_indices): element e must lie in 0 .. sizes[e % length] - 1,
// counted from the end too where FROM_END. The first invocation to find one writes down which check it was (a number
// from 1 on), the element and its value; the others leave that alone. One element an invocation, 4 bytes.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint FROM_END = 0;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint check;
  uint length;
  int sizes[8];
};

READ_I32(0, indices);
UPDATE_I32(1, flag);

// Words of `flag`; the first is the count of shaders/run_proof.comp.
const uint kCheck = 1;
const uint kElement = 2;
const uint kValue = 3;

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const int index = load_i32(indices, i);
  const int size = sizes[i % length];
  const int first = FROM_END == 1 ? -size : 0;
  if (index >= first && index < size) return;
  if (atomicCompSwap(flag[kCheck], 0, int(check)) != 0) return;
  flag[kElement] = int(i);
  flag[kValue] = index;
}
