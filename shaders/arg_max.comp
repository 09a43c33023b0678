#version 450
// variant ACCESS: storage texel
//
// Where the largest or smallest element along a dimension is (engine/ops/arg_max.cpp). One of `parts` of an output's
// elements an invocation: every parts-th one, so that neighbours read neighbouring elements. A second dispatch chooses
// among the parts' candidates. 4 bytes an element.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"
#include "order.glsl"

layout(push_constant) uniform Push {
  uint outputs;
  uint parts;
  uint length;      // candidates of an output
  uint size;        // of the dimension
  uint inner;       // elements between neighbours along it
  uint real;        // x holds reals
  uint smallest;    // 1: the smallest is wanted, 0: the largest
  uint last;        // 1: of equal elements the last is wanted, 0: the first
  uint candidates;  // 1: `named` says which elements are compared, 0: all are
};

READ_I32(0, x);
READ_I32(1, named);
WRITE_I32(2, y);

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint o = id / parts;
  if (o >= outputs) return;
  const uint base = o / inner * size * inner + o % inner;
  int best = 0;
  int best_key = 0;
  bool found = false;
  for (uint j = id - o * parts; j < length; j += parts) {
    const int i = candidates == 1 ? load_i32(named, o * length + j) : int(j);
    const int word = load_i32(x, base + uint(i) * inner);
    int key = real == 1 ? order_of_real(word) : word;
    // NaN is where both the largest and the smallest are, as in NumPy.
    if (smallest == 1 && !(real == 1 && key == kOrderOfNan)) key = ~key;
    const bool among_equals = last == 1 ? i > best : i < best;
    if (!found || key > best_key || (key == best_key && among_equals)) {
      best = i;
      best_key = key;
      found = true;
    }
  }
  y[id] = best;
}
