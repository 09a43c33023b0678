// How kernels read memory. Every kernel declares `// variant ACCESS: storage texel` and reads through these macros:
// storage buffers, or uniform texel buffers of the same VkBuffer, which CPU drivers read 2 to 60 times faster and which
// GPUs cache separately. Writes are always storage buffers.
//
//   READ_F32X4(0, x)      declares binding 0 as an array of vec4 named x
//   load_f32x4(x, i)      reads element i (i counts vec4s)
#ifndef HEED_MEMORY_GLSL
#define HEED_MEMORY_GLSL

#ifdef ACCESS_texel
#define READ_F32X4(number, name) layout(set = 0, binding = number) uniform samplerBuffer name
#define READ_U32X4(number, name) layout(set = 0, binding = number) uniform usamplerBuffer name
#define READ_U32X2(number, name) layout(set = 0, binding = number) uniform usamplerBuffer name
#define READ_F32(number, name) layout(set = 0, binding = number) uniform samplerBuffer name
#define READ_I32(number, name) layout(set = 0, binding = number) uniform isamplerBuffer name
#define load_f32x4(name, i) texelFetch(name, int(i))
#define load_u32x4(name, i) texelFetch(name, int(i))
#define load_u32x2(name, i) texelFetch(name, int(i)).xy
#define load_f32(name, i) texelFetch(name, int(i)).x
#define load_i32(name, i) texelFetch(name, int(i)).x
#else
#define HEED_READ(number, type, name) \
  layout(set = 0, binding = number, std430) readonly buffer name##_buffer { type name[]; }
#define READ_F32X4(number, name) HEED_READ(number, vec4, name)
#define READ_U32X4(number, name) HEED_READ(number, uvec4, name)
#define READ_U32X2(number, name) HEED_READ(number, uvec2, name)
#define READ_F32(number, name) HEED_READ(number, float, name)
#define READ_I32(number, name) HEED_READ(number, int, name)
#define load_f32x4(name, i) name[i]
#define load_u32x4(name, i) name[i]
#define load_u32x2(name, i) name[i]
#define load_f32(name, i) name[i]
#define load_i32(name, i) name[i]
#endif

// SAME_* are for what all lanes need at the same place: by variant SAME_storage always a storage buffer, which newer CPU
// drivers read once for all lanes, else like READ_*. With SAME_shuffle lanes read other places and hand on what they find
// (hand_on.glsl).
#ifdef SAME_storage
#define HEED_SAME(number, type, name) \
  layout(set = 0, binding = number, std430) readonly buffer name##_buffer { type name[]; }
#define SAME_F32X4(number, name) HEED_SAME(number, vec4, name)
#define SAME_U32X2(number, name) HEED_SAME(number, uvec2, name)
#define SAME_F32(number, name) HEED_SAME(number, float, name)
#define load_same_f32x4(name, i) name[i]
#define load_same_u32x2(name, i) name[i]
#define load_same_f32(name, i) name[i]
#else
#define SAME_F32X4 READ_F32X4
#define SAME_U32X2 READ_U32X2
#define SAME_F32 READ_F32
#define load_same_f32x4 load_f32x4
#define load_same_u32x2 load_u32x2
#define load_same_f32 load_f32
#endif

#define WRITE_F32(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { float name[]; }
#define WRITE_F32X4(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { vec4 name[]; }
#define WRITE_U32X4(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { uvec4 name[]; }
#define WRITE_U32X2(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { uvec2 name[]; }
#define WRITE_U32(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { uint name[]; }
#define WRITE_I32(number, name) \
  layout(set = 0, binding = number, std430) writeonly buffer name##_buffer { int name[]; }
#define UPDATE_F32(number, name) layout(set = 0, binding = number, std430) buffer name##_buffer { float name[]; }
#define UPDATE_I32(number, name) layout(set = 0, binding = number, std430) buffer name##_buffer { int name[]; }

// The workgroup's number when the host spread them over x and y (Lowering::spread).
uint workgroup_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

#endif
