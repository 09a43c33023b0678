#version 450
// variant ACCESS: storage texel
//
// The largest or smallest elements of lines in order (engine/ops/top_k.cpp): runs of indices into a line, of at most k
// each, sorted by counting and then merged two by two. One index an invocation, which finds its place in the result by
// itself: STEP 0 sorts blocks of 32 elements, 1 merges runs, 2 writes values and indices. Equal elements stay in their
// order.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint STEP = 0;
#include "memory.glsl"
#include "order.glsl"

layout(push_constant) uniform Push {
  uint count;      // invocations
  uint size;       // elements of a line
  uint inner;      // elements between neighbours along it
  uint k;
  uint covered;    // elements of x that one run of `given` was chosen from
  uint pitch;      // indices of a run of `given`, at most
  uint runs;       // of a line in `given`
  uint out_pitch;
  uint real;       // x holds reals
  uint largest;    // 1: the largest come first, 0: the smallest
  uint outputs;    // 1: values, 2: indices
};

READ_I32(0, x);
READ_I32(1, given);
WRITE_I32(2, y);
WRITE_I32(3, places);

uint line_base(uint line) { return line / inner * size * inner + line % inner; }

int key_of(uint base, uint i) {
  const int word = load_i32(x, base + i * inner);
  const int key = real == 1 ? order_of_real(word) : word;
  return largest == 1 ? key : ~key;
}

bool precedes(int key, uint i, int other_key, uint other) {
  return key > other_key || (key == other_key && i < other);
}

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint run_of_all = id / pitch;
  const uint place = id - run_of_all * pitch;
  const uint line = run_of_all / runs;
  const uint run = run_of_all - line * runs;
  const uint base = line_base(line);
  if (STEP == 0) {
    const uint first = run * pitch;
    const uint own = first + place;
    if (own >= size) return;
    const int own_key = key_of(base, own);
    const uint end = min(first + pitch, size);
    uint rank = 0;
    for (uint i = first; i < end; ++i) rank += precedes(key_of(base, i), i, own_key, own) ? 1 : 0;
    if (rank < out_pitch) y[run_of_all * out_pitch + rank] = int(own);
  } else if (STEP == 1) {
    if (place >= min(k, min(covered, size - run * covered))) return;
    const uint own = uint(load_i32(given, id));
    const int own_key = key_of(base, own);
    const uint sibling = run ^ 1u;
    const uint first = (line * runs + sibling) * pitch;
    uint low = 0;
    uint high = sibling < runs ? min(k, min(covered, size - sibling * covered)) : 0;
    while (low < high) {  // those before `low` precede
      const uint middle = (low + high) / 2;
      const uint other = uint(load_i32(given, first + middle));
      if (precedes(key_of(base, other), other, own_key, own)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const uint rank = place + low;
    if (rank < out_pitch) y[(line * ((runs + 1) / 2) + run / 2) * out_pitch + rank] = int(own);
  } else {
    const uint own = uint(load_i32(given, line * pitch + place));
    const uint to = (line / inner * k + place) * inner + line % inner;
    if ((outputs & 1u) != 0) y[to] = load_i32(x, base + own * inner);
    if ((outputs & 2u) != 0) places[to] = int(own);
  }
}
