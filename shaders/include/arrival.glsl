// Work that workgroups share: each leaves its part in `parts`, and the one that arrives last adds all up, in an order that
// does not depend on who that is. Nobody waits for anybody, so workgroups may run in any order, one after the other too.
// Declares binding PARTS (`parts`, of PARTS_TYPE) and PARTS + 1 (counters, 0 between dispatches).
#ifndef HEED_ARRIVAL_GLSL
#define HEED_ARRIVAL_GLSL

#ifndef PARTS_TYPE
#define PARTS_TYPE float
#endif

layout(set = 0, binding = PARTS, std430) coherent buffer parts_buffer { PARTS_TYPE parts[]; };
layout(set = 0, binding = PARTS + 1, std430) coherent buffer arrived_buffer { uint arrived[]; };

shared bool last_shared;

// Called by all invocations after they wrote their parts; true in the workgroup that sees the parts of all `count` that
// share counter `i`.
bool arrives_last(uint i, uint count) {
  memoryBarrierBuffer();
  barrier();
  if (gl_LocalInvocationID.x == 0) {
    last_shared = atomicAdd(arrived[i], 1) == count - 1;
    if (last_shared) arrived[i] = 0;
  }
  barrier();
  memoryBarrierBuffer();
  return last_shared;
}

#endif
