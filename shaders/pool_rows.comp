#version 450
// variant ACCESS: storage texel
// variant X: vectors elements
//
// Maximum or mean of small windows over two dimensions (engine/ops/pool.cpp): a lane takes PIXELS neighbours of a row of
// the output. It reads each element under them once, KERNEL_Y rows of (PIXELS - 1) * STRIDE_X + KERNEL_X: with a window of
// 3x3, a stride of 2 and 4 pixels 27 elements, 108 bytes, for 36 comparisons; where x is whole vec4s, as 9 of these, which
// rows may begin anywhere in. What lies outside x is read within it and left out. No loops and few divisions, which CPU
// drivers are slow at.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
#include "constants/pool_rows.h"
#include "memory.glsl"
#include "functions.glsl"

#ifdef X_vectors
READ_F32X4(0, x);
#else
READ_F32(0, x);
#endif
WRITE_F32(1, y);

const uint COLUMNS = (PIXELS - 1) * STRIDE_X + KERNEL_X;

// elements[c] is element left + c of the row that begins at x[x_row] where it has one, else whatever lies near.
void load_row(int x_row, int left, out float elements[COLUMNS]) {
#ifdef X_vectors
  const uint WORDS = (COLUMNS + 6) / 4;
  const int first = x_row + left;
  float read[4 * WORDS];
  [[unroll]] for (uint i = 0; i < WORDS; ++i) {
    const vec4 word = load_f32x4(x, clamp((first >> 2) + int(i), 0, x_words - 1));
    [[unroll]] for (uint e = 0; e < 4; ++e) read[4 * i + e] = word[e];
  }
  float by_one[COLUMNS + 2];  // moved by the lowest bit of `first`, and then by the other
  [[unroll]] for (uint c = 0; c < COLUMNS + 2; ++c) by_one[c] = mix(read[c], read[c + 1], (first & 1) != 0);
  [[unroll]] for (uint c = 0; c < COLUMNS; ++c) elements[c] = mix(by_one[c], by_one[c + 2], (first & 2) != 0);
#else
  [[unroll]] for (uint c = 0; c < COLUMNS; ++c) {
    elements[c] = load_f32(x, x_row + clamp(left + int(c), 0, in_width - 1));
  }
#endif
}

// NaN is above all numbers.
bool above(float a, float b) { return is_nan(a) ? !is_nan(b) : !is_nan(b) && a > b; }

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint tile = id % tiles;
  const uint row = id / tiles;  // of all planes of the output
  const uint plane = row / height;
  const int x_height = in_height;
  const int x_width = in_width;
  const int x_plane = int(plane) * x_height * x_width;
  const int top = int((row - plane * height) * stride_y) - begin_y;
  const int left = int(tile * PIXELS * STRIDE_X) - begin_x;

  float results[PIXELS];
  [[unroll]] for (uint p = 0; p < PIXELS; ++p) results[p] = MEAN == 1 ? 0.0 : -kInfinity;
  [[unroll]] for (uint i = 0; i < KERNEL_Y; ++i) {
    const int at_y = top + int(i);
    const bool row_inside = at_y >= 0 && at_y < x_height;
    const int x_row = x_plane + clamp(at_y, 0, x_height - 1) * x_width;
    float elements[COLUMNS];
    load_row(x_row, left, elements);
    bool inside[COLUMNS];
    [[unroll]] for (uint c = 0; c < COLUMNS; ++c) {
      const int at_x = left + int(c);
      inside[c] = row_inside && at_x >= 0 && at_x < x_width;
    }
    [[unroll]] for (uint p = 0; p < PIXELS; ++p) {
      [[unroll]] for (uint k = 0; k < KERNEL_X; ++k) {
        const uint c = p * STRIDE_X + k;
        if (MEAN == 1) {
          results[p] += inside[c] ? elements[c] : 0.0;
        } else {
          results[p] = inside[c] && above(elements[c], results[p]) ? elements[c] : results[p];
        }
      }
    }
  }

  const uint y_width = width;
  const uint y_row = row * y_width + tile * PIXELS;
  // Rows and columns of a window that count for its mean: those of x, or those up to the padding's end.
  const int end_y = counted_y > 0 ? counted_y : x_height;
  const int end_x = counted_x > 0 ? counted_x : x_width;
  const int from_y = counted_y > 0 ? top : max(top, 0);
  const int counted_rows = max(min(top + int(KERNEL_Y), end_y) - from_y, 0);
  [[unroll]] for (uint p = 0; p < PIXELS; ++p) {
    if (tile * PIXELS + p < y_width) {
      float result = results[p];
      if (MEAN == 1) {
        const int begin = left + int(p * STRIDE_X);
        const int from_x = counted_x > 0 ? begin : max(begin, 0);
        const int counted_columns = max(min(begin + int(KERNEL_X), end_x) - from_x, 0);
        result /= float(max(counted_rows * counted_columns, 1));
      }
      y[y_row + p] = result;
    }
  }
}
