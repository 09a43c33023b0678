// What all lanes of a workgroup need, fetched by them in turn, and handed on: with SAME_shuffle a workgroup is one subgroup,
// of which lane i % HOLDERS fetches the i-th of it, as number i / HOLDERS of what that lane holds. A fetch costs CPU drivers as
// much as 20 multiplications, whether its lanes read one place or many. In the other variants a lane fetches all for itself.
//
//   vec4 held[HELD(n)];             what a lane holds of n
//   i * HOLDERS + holder            the number of its i-th; n or more, which callers cut down, where n is not shared evenly
//   HANDED_ON(held, i)              the i-th of n, for all lanes; i is the same for all of them
//
// Loops over these are unrolled, `i < N` with a constant N: compilers leave others as they are, `i * M < N` too, so that
// arrays lie in memory and rounds count (DeviceCaps::max_loop_iterations).
#ifndef HEED_HAND_ON_GLSL
#define HEED_HAND_ON_GLSL

#define HELD(n) (((n) + HOLDERS - 1) / HOLDERS)
#ifdef SAME_shuffle
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
const uint HOLDERS = gl_WorkGroupSize.x;
#define lane gl_SubgroupInvocationID
#define holder lane
#define HANDED_ON(held, i) subgroupShuffle(held[(i) / HOLDERS], (i) % HOLDERS)
#else
const uint HOLDERS = 1;
#define lane gl_LocalInvocationID.x
#define holder 0
#define HANDED_ON(held, i) held[i]
#endif

#endif
