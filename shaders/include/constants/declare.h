// How the constants of a shader are declared, once for the shader and for the op that dispatches it: constants/STEM.h is
// included by shaders/STEM.comp and by engine/ops, where it makes structs whose fields have names.
//
//   PUSH_CONSTANTS(FooPush)
//     uint rows;
//     float scale;
//   END_CONSTANTS
//
//   SPECIALIZATION_CONSTANTS(FooConstants)  // on the line before the first, and one a line: this is how they are counted
//     CONSTANT(1, masked, MASKED, 0)        // id, field of the struct, name in the shader, value where none is given
//   END_SPECIALIZATION
//
// Numbers that both mean something by (kinds, flags) are written `const uint kName = 1;` between BEGIN_VALUES and END_VALUES.
//
// Shaders see the fields of the push constants, and the specialization constants, by their names alone. In C++ the second
// struct begins with `lanes`, which is local_size_x and has id 0. Every field is 32 bits wide, so words lie alike in both;
// words_of() of engine/plan/lowering.h makes them the words of a Dispatch.
#ifndef HEED_CONSTANTS_DECLARE_H
#define HEED_CONSTANTS_DECLARE_H

#ifdef __cplusplus

#include <cstdint>

namespace heed::ops {
using uint = std::uint32_t;
}  // namespace heed::ops

#define PUSH_CONSTANTS(name) \
  namespace heed::ops {      \
  struct name {
#define END_CONSTANTS \
  }                   \
  ;                   \
  }
#define SPECIALIZATION_CONSTANTS(name)        \
  namespace heed::ops {                       \
  struct name {                               \
    static constexpr int kLineOf0 = __LINE__; \
    uint lanes;
#define CONSTANT(id, field, shader_name, otherwise)                                              \
  static_assert(__LINE__ - kLineOf0 == id, #shader_name " has another id than place in the list"); \
  uint field;
#define END_SPECIALIZATION END_CONSTANTS
#define BEGIN_VALUES namespace heed::ops {
#define END_VALUES }

#else

#define PUSH_CONSTANTS(name) layout(push_constant) uniform name {
#define END_CONSTANTS \
  }                   \
  ;
#define SPECIALIZATION_CONSTANTS(name)
#define CONSTANT(id, field, shader_name, otherwise) layout(constant_id = id) const uint shader_name = otherwise;
#define END_SPECIALIZATION
#define BEGIN_VALUES
#define END_VALUES

#endif
#endif
