#version 450
// variant ACCESS: storage texel
// variant KIND: real test integer number vector
//
// y = f(a) or f(a, b) with broadcasting (engine/ops/functions.cpp numbers the functions), and perhaps y + c or y c of that. One
// element an invocation; a
// stride of 0 repeats an operand along a dimension. KIND says what goes in and comes out: real numbers to real ones, to
// integers (comparisons, conversions), integers to integers, integers to real numbers (conversions), and real numbers to
// real ones in fours: then sizes and strides count vectors, but for operands that are repeated in the innermost loop.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint FUNCTION = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;
layout(constant_id = 3) const uint BINARY = 0;
layout(constant_id = 4) const uint LOOPS = 6;  // dimensions of the result that are not 1
layout(constant_id = 5) const uint WRAP = 0;
layout(constant_id = 6) const uint REPEATED = 0;  // bits of the operands of which four results need one element
layout(constant_id = 7) const uint THEN = 0;      // the function of what the first one makes, and c; 0: none
#include "memory.glsl"
#include "functions.glsl"

layout(push_constant) uniform Push {
  uint count;
  uint size1, size2, size3, size4, size5;  // of the five inner dimensions of the result
  uint a0, a1, a2, a3, a4, a5;             // strides
  uint b0, b1, b2, b3, b4, b5;
  float alpha, beta;
  uint c0, c1, c2, c3, c4, c5;
};

#if defined(KIND_vector)
READ_F32X4(0, a);
READ_F32X4(1, b);
READ_F32X4(2, c);
#elif defined(KIND_real) || defined(KIND_test)
READ_F32(0, a);
READ_F32(1, b);
READ_F32(2, c);
#define load load_f32
#define Operand float
#else
READ_I32(0, a);
READ_I32(1, b);
READ_I32(2, c);
#define load load_i32
#define Operand int
#endif
#if defined(KIND_vector)
WRITE_F32X4(3, y);
#elif defined(KIND_real) || defined(KIND_number)
WRITE_F32(3, y);
#else
WRITE_I32(3, y);
#endif

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  uint rest = i;
  uint at_a = 0;
  uint at_b = 0;
  uint at_c = 0;
#define STEP(size, stride_a, stride_b, stride_c)  \
  {                                     \
    const uint whole = rest / size;     \
    const uint part = rest - whole * size; \
    at_a += part * stride_a;            \
    at_b += part * stride_b;            \
    if (THEN != 0) at_c += part * stride_c; \
    rest = whole;                       \
  }
  if (LOOPS > 1) STEP(size5, a5, b5, c5)
  if (LOOPS > 2) STEP(size4, a4, b4, c4)
  if (LOOPS > 3) STEP(size3, a3, b3, c3)
  if (LOOPS > 4) STEP(size2, a2, b2, c2)
  if (LOOPS > 5) STEP(size1, a1, b1, c1)
  const uint outermost_a = LOOPS > 5 ? a0 : LOOPS > 4 ? a1 : LOOPS > 3 ? a2 : LOOPS > 2 ? a3 : LOOPS > 1 ? a4 : a5;
  const uint outermost_b = LOOPS > 5 ? b0 : LOOPS > 4 ? b1 : LOOPS > 3 ? b2 : LOOPS > 2 ? b3 : LOOPS > 1 ? b4 : b5;
  const uint outermost_c = LOOPS > 5 ? c0 : LOOPS > 4 ? c1 : LOOPS > 3 ? c2 : LOOPS > 2 ? c3 : LOOPS > 1 ? c4 : c5;
  at_a += rest * outermost_a;
  at_b += rest * outermost_b;
  if (THEN != 0) at_c += rest * outermost_c;
#if defined(KIND_vector)
  const bool one_a = (REPEATED & 1u) != 0;
  const bool one_b = (REPEATED & 2u) != 0;
  vec4 left = load_f32x4(a, one_a ? at_a / 4 : at_a);
  if (one_a) left = vec4(left[at_a % 4]);
  vec4 right = vec4(0.0);
  if (BINARY == 1) right = load_f32x4(b, one_b ? at_b / 4 : at_b);
  if (BINARY == 1 && one_b) right = vec4(right[at_b % 4]);
  const bool one_c = (REPEATED & 4u) != 0;
  vec4 behind = vec4(0.0);
  if (THEN != 0) behind = load_f32x4(c, one_c ? at_c / 4 : at_c);
  if (THEN != 0 && one_c) behind = vec4(behind[at_c % 4]);
  vec4 result;
  for (int e = 0; e < 4; ++e) {
    result[e] = BINARY == 1 ? apply_real(FUNCTION, ACTIVATION, left[e], right[e])
                            : apply_real(FUNCTION, left[e], alpha, beta);
    if (THEN != 0) result[e] = apply_real(THEN, kNone, result[e], behind[e]);
  }
  y[i] = result;
#else
  const Operand left = load(a, at_a);
  const Operand right = BINARY == 1 ? load(b, at_b) : Operand(0);
#if defined(KIND_real)
  const float made = BINARY == 1 ? apply_real(FUNCTION, ACTIVATION, left, right) : apply_real(FUNCTION, left, alpha, beta);
  y[i] = THEN != 0 ? apply_real(THEN, kNone, made, load(c, at_c)) : made;
#elif defined(KIND_test)
  y[i] = wrap(WRAP, test_real(FUNCTION, left, right, alpha, beta));
#elif defined(KIND_integer)
  y[i] = wrap(WRAP, apply_integer(FUNCTION, left, right));
#else
  y[i] = float(left);
#endif
#endif
}
