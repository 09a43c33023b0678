#version 450
// variant ACCESS: storage
//
// What shaders see of subgroups, for `heed conform`: words[0] the size, words[1] the most subgroups of a workgroup, and
// words[2] how many invocations ran. 12 bytes, and an atomic addition for each invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

UPDATE_I32(0, words);

void main() {
  atomicMax(words[0], int(gl_SubgroupSize));
  atomicMax(words[1], int(gl_NumSubgroups));
  atomicAdd(words[2], 1);
}
