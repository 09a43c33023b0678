#version 450
// variant ACCESS: storage texel
// variant WIDTH: 4 1
//
// x of a convolution with what lies around it, zeros (engine/ops/conv_tiles.cpp). An invocation makes RUN vec4s of a row,
// since finding the row costs CPU drivers more than an element does: 128 bytes each way. Rows of x that are whole vec4s
// are read as such, and SHIFT elements of each go into the next.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
#include "constants/conv_pad.h"
#include "memory.glsl"

#ifdef WIDTH_4
READ_F32X4(0, x);
#else
READ_F32(0, x);
#endif
WRITE_F32X4(1, y);

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint words = row_words;
  const uint runs = (words + RUN - 1) / RUN;
  const uint row = id / runs;
  const uint first = (id - row * runs) * RUN;
  uint rest = row;
  const uint whole = rest / rows;
  const int at_y = int(rest - whole * rows) - begin_y;
  uint plane = whole;
  int at_z = 0;
  bool inside = at_y >= 0 && at_y < in_rows;
  if (DEEP == 1) {
    plane = whole / slices;
    at_z = int(whole - plane * slices) - begin_z;
    inside = inside && at_z >= 0 && at_z < in_slices;
  }
  const int x_row = inside ? (int(plane) * in_slices + at_z) * in_rows + at_y : 0;
#ifdef WIDTH_4
  // Word w of the row is made of words w - before - 1 and w - before of x.
  const int size = in_words;
  const int from = int(first) - before_words;
  vec4 read[RUN + 1];
  read[0] = vec4(0.0);
  [[unroll]] for (uint w = SHIFT == 0 ? 1 : 0; w < RUN + 1; ++w) {
    const int at = from + int(w) - 1;
    const bool within = inside && at >= 0 && at < size;
    const vec4 word = load_f32x4(x, x_row * size + clamp(at, 0, size - 1));
    read[w] = within ? word : vec4(0.0);
  }
#else
  const int size = in_elements;
  const int from = int(first) * 4 - begin_x;
#endif
  const uint to = row * words + first;
  [[unroll]] for (uint w = 0; w < RUN; ++w) {
    if (first + w < words) {
#ifdef WIDTH_4
      const vec4 a = read[w];
      const vec4 b = read[w + 1];
      y[to + w] = SHIFT == 0   ? b
                  : SHIFT == 1 ? vec4(a.w, b.xyz)
                  : SHIFT == 2 ? vec4(a.zw, b.xy)
                               : vec4(a.yzw, b.x);
#else
      vec4 word;
      [[unroll]] for (uint e = 0; e < 4; ++e) {
        const int at = from + int(w * 4 + e);
        const float element = load_f32(x, x_row * size + clamp(at, 0, size - 1));
        word[e] = inside && at >= 0 && at < size ? element : 0.0;
      }
      y[to + w] = word;
#endif
    }
  }
}
