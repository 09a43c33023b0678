#version 450
// variant ACCESS: storage texel
// variant KIND: real integer
//
// y[o, p] = finish(combine of map(x[o, j])) over j = p, p + parts, p + 2 parts, ... (engine/ops/reduce.cpp). Nested loops
// say where the elements of an output begin and where they lie. One part an invocation, so that neighbours read
// neighbouring elements; a second dispatch combines the parts. Sums are made of sums of up to 32, which keeps their
// rounding small. 4 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint COMBINE = 0;
layout(constant_id = 2) const uint MAP = 0;
layout(constant_id = 3) const uint FINISH = 0;
layout(constant_id = 4) const uint KEPT_LOOPS = 6;
layout(constant_id = 5) const uint REDUCED_LOOPS = 6;
layout(constant_id = 6) const uint WRAP = 0;
#include "memory.glsl"
#include "functions.glsl"

layout(push_constant) uniform Push {
  uint outputs;
  uint parts;
  uint length;    // elements of an output, in this dispatch
  uint elements;  // of an output in all dispatches, for the mean
  uint first;     // where x begins
  uint least;     // of the type, as a word
  uint kept_sizes[5];
  uint kept_strides[6];
  uint reduced_sizes[5];
  uint reduced_strides[6];
};

const uint kSum = 0;
const uint kProduct = 1;
const uint kMaximum = 2;
const uint kMinimum = 3;

const uint kAbsolute = 1;
const uint kSquare = 2;
const uint kExponential = 3;

const uint kMean = 1;
const uint kRoot = 2;
const uint kLogarithm = 3;
const uint kLogarithmAndLargest = 4;

#ifdef KIND_real
READ_F32(0, x);
WRITE_F32(2, y);
#define Number float
#define load load_f32
#define FROM_WORD(word) uintBitsToFloat(word)
#else
READ_I32(0, x);
WRITE_I32(2, y);
#define Number int
#define load load_i32
#define FROM_WORD(word) int(word)
#endif
READ_F32(1, largest);  // of each output's elements, for exponentials

#ifndef KIND_real
#define larger max
#define smaller min
#endif
Number combine(Number a, Number b) {
  if (COMBINE == kProduct) return a * b;
  if (COMBINE == kMaximum) return larger(a, b);
  if (COMBINE == kMinimum) return smaller(a, b);
  return a + b;
}

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint o = id / parts;
  if (o >= outputs) return;
  uint base = first;
  uint rest = o;
  for (uint loop = 0; loop < KEPT_LOOPS; ++loop) {
    const uint whole = loop + 1 < KEPT_LOOPS ? rest / kept_sizes[4 - loop] : 0;
    const uint part = loop + 1 < KEPT_LOOPS ? rest - whole * kept_sizes[4 - loop] : rest;
    base += part * kept_strides[5 - loop];
    rest = whole;
  }
#ifdef KIND_real
  float shift = 0.0;
  if (MAP == kExponential || FINISH == kLogarithmAndLargest) {
    shift = load_f32(largest, o);
    if (is_infinite(shift)) shift = 0.0;
  }
#endif
  const Number neutral = COMBINE == kSum ? Number(0) : COMBINE == kProduct ? Number(1) : FROM_WORD(least);
  Number total = neutral;
  uint j = id - o * parts;
  while (j < length) {
    Number sum = neutral;
    for (uint u = 0; u < 32 && j < length; ++u) {
      uint at = base;
      uint left = j;
      for (uint loop = 0; loop < REDUCED_LOOPS; ++loop) {
        const uint whole = loop + 1 < REDUCED_LOOPS ? left / reduced_sizes[4 - loop] : 0;
        const uint part = loop + 1 < REDUCED_LOOPS ? left - whole * reduced_sizes[4 - loop] : left;
        at += part * reduced_strides[5 - loop];
        left = whole;
      }
      Number element = load(x, at);
      if (MAP == kAbsolute) element = abs(element);
      if (MAP == kSquare) element = element * element;
#ifdef KIND_real
      if (MAP == kExponential) element = exponential(element - shift);
#endif
      sum = combine(sum, element);
      j += parts;
    }
    total = combine(total, sum);
  }
#ifdef KIND_real
  if (FINISH == kMean) total = elements == 0 ? kNan : total / float(elements);
  if (FINISH == kRoot) total = sqrt(total);  // of squares
  if (FINISH == kLogarithm) total = natural_log(total);
  if (FINISH == kLogarithmAndLargest) total = natural_log(total) + shift;
  y[id] = total;
#else
  if (FINISH == kMean) total = elements == 0 ? 0 : total / int(elements);
  y[id] = wrap(WRAP, total);
#endif
}
