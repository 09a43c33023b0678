// Sums and maxima over a workgroup, in a fixed order: of any size without subgroups, of whole subgroups with them. Include after the layout with
// local_size_x_id = 0. Variant SUBGROUP_1 uses subgroup arithmetic, SUBGROUP_0 shared memory alone.
//   float workgroup_sum(float x), workgroup_max(float x): every invocation gets the result; all must call it.
#ifndef HEED_REDUCE_GLSL
#define HEED_REDUCE_GLSL

#ifdef SUBGROUP_1
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

shared float reduce_shared[gl_WorkGroupSize.x];

#ifdef SUBGROUP_1
// One subgroup needs no shared memory; more exchange one value each, added up in order by every invocation.
#define HEED_REDUCE(name, subgroup_op, op)                          \
  float name(float x) {                                             \
    const float own = subgroup_op(x);                               \
    if (gl_NumSubgroups == 1) return own;                           \
    barrier();                                                      \
    if (subgroupElect()) reduce_shared[gl_SubgroupID] = own;        \
    barrier();                                                      \
    float total = reduce_shared[0];                                 \
    for (uint i = 1; i < gl_NumSubgroups; ++i) {                    \
      const float other = reduce_shared[i];                         \
      total = op(total, other);                                     \
    }                                                               \
    return total;                                                   \
  }
#else
#define HEED_REDUCE(name, subgroup_op, op)                          \
  float name(float x) {                                             \
    const uint lane = gl_LocalInvocationID.x;                       \
    barrier();                                                      \
    reduce_shared[lane] = x;                                        \
    barrier();                                                      \
    uint count = gl_WorkGroupSize.x;                                \
    while (count > 1) {                                             \
      const uint half_count = (count + 1) / 2;                      \
      if (lane + half_count < count) {                              \
        reduce_shared[lane] = op(reduce_shared[lane], reduce_shared[lane + half_count]); \
      }                                                             \
      barrier();                                                    \
      count = half_count;                                           \
    }                                                               \
    return reduce_shared[0];                                        \
  }
#endif
#define HEED_ADD(a, b) ((a) + (b))
HEED_REDUCE(workgroup_sum, subgroupAdd, HEED_ADD)
HEED_REDUCE(workgroup_max, subgroupMax, max)

#endif
