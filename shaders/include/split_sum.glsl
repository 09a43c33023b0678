// A sum over the workgroups of one dispatch, in the same order every time: each writes its part, and the one that arrives
// last adds them up. Nobody waits for anybody, so workgroups may run in any order, one after the other too. Declares
// binding PARTS (gl_NumWorkGroups.x rows of parts) and PARTS + 1 (a counter, 0 between dispatches).
#ifndef HEED_SPLIT_SUM_GLSL
#define HEED_SPLIT_SUM_GLSL

layout(set = 0, binding = PARTS, std430) coherent buffer parts_buffer { float parts[]; };
layout(set = 0, binding = PARTS + 1, std430) coherent buffer arrived_buffer { uint arrived[]; };

shared bool last_shared;

// Called by all invocations after they wrote their parts; true in the workgroup that sees the parts of all.
bool arrives_last() {
  memoryBarrierBuffer();
  barrier();
  if (gl_LocalInvocationID.x == 0) {
    last_shared = atomicAdd(arrived[0], 1) == gl_NumWorkGroups.x - 1;
    if (last_shared) arrived[0] = 0;
  }
  barrier();
  memoryBarrierBuffer();
  return last_shared;
}

// Column n of the rows of parts, `width` columns wide.
float sum_of_parts(uint n, uint width) {
  float sum = 0.0;
  for (uint group = 0; group < gl_NumWorkGroups.x; ++group) sum += parts[group * width + n];
  return sum;
}

#endif
