#version 450
// variant ACCESS: storage texel
// variant NUMBER: real integer
//
// Maximum, mean, or p-norm of sliding windows (engine/ops/pool.cpp). An invocation takes a window, or with SHARED a
// workgroup takes one, its lanes in steps. Only elements within x are visited: 4 bytes each.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/pool.h"
#include "memory.glsl"
#include "functions.glsl"

const uint kMax = 0;
const uint kAverage = 1;

#ifdef NUMBER_real
#define Number float
READ_F32(0, x);
WRITE_F32(1, y);
#define load load_f32
#else
#define Number int
READ_I32(0, x);
WRITE_I32(1, y);
#define load load_i32
#endif
WRITE_I32(2, indices);

shared Number shared_value[gl_WorkGroupSize.x];
shared int shared_index[gl_WorkGroupSize.x];

// Divisions are slow on CPU drivers, which take both sides of a branch.
int steps(int distance, uint d) { return DILATED == 1 ? distance / dilation[d] : distance; }

// Taps [first, end) of a window that lie in [0, size), when the window begins at `start`.
ivec2 taps_within(int start, uint d, int size) {
  const int first = start >= 0 ? 0 : min(kernel[d], steps(-start + dilation[d] - 1, d));
  const int end = size <= start ? 0 : min(kernel[d], steps(size - 1 - start, d) + 1);
  return ivec2(first, max(first, end));
}

#ifdef NUMBER_real
// NaN is above all numbers.
bool above(float a, float b) { return is_nan(a) ? !is_nan(b) : !is_nan(b) && a > b; }
#else
bool above(int a, int b) { return a > b; }
#endif

// The larger one, of equal ones the earlier.
void keep_larger(inout Number best, inout int best_index, Number value, int index) {
  if (index >= 0 && (best_index < 0 || above(value, best) || (!above(best, value) && index < best_index))) {
    best = value;
    best_index = index;
  }
}

// Adds an element of x to what a window gives.
void add(int plane, int i0, int i1, int i2, inout Number best, inout int best_index) {
  const int element = (i0 * in_size[1] + i1) * in_size[2] + i2;
  const Number value = load(x, plane + element);
  if (KIND == kMax) {
    keep_larger(best, best_index, value, column_major == 1 ? (i2 * in_size[1] + i1) * in_size[0] + i0 : element);
  } else if (KIND == kAverage) {
    best += value;
  } else {
    best += Number(p == 1.0 ? abs(float(value)) : p == 2.0 ? float(value * value) : power(abs(float(value)), p));
  }
}

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint i = SHARED == 1 ? workgroup_index() : workgroup_index() * gl_WorkGroupSize.x + lane;
  if (i >= count) return;
  int rest = int(i % uint(out_size[0] * out_size[1] * out_size[2]));
  const int plane = int(i / uint(out_size[0] * out_size[1] * out_size[2])) * in_size[0] * in_size[1] * in_size[2];
  int at[3];
  int width[3];
  int step[3];
  int elements = 1;
  int divisor = 1;
  for (uint n = 3; n > 0; --n) {
    const uint d = n - 1;
    const int start = rest % out_size[d] * stride[d] - begin[d];
    rest /= out_size[d];
    const ivec2 taps = taps_within(start, d, in_size[d]);
    at[d] = start + taps.x * dilation[d];
    width[d] = taps.y - taps.x;
    elements *= width[d];
    if (counted[d] > 0) {
      divisor *= max(0, min(kernel[d], steps(counted[d] - 1 - start, d) + 1));
    } else {
      divisor *= width[d];
    }
  }

  Number best = Number(0);
  int best_index = -1;
  if (SHARED == 1) {
    for (int t = int(lane); t < elements; t += int(gl_WorkGroupSize.x)) {
      const int row = t / width[2];
      add(plane, at[0] + row / width[1] * dilation[0], at[1] + row % width[1] * dilation[1],
          at[2] + t % width[2] * dilation[2], best, best_index);
    }
  } else {
    for (int k0 = 0; k0 < width[0]; ++k0) {
      for (int k1 = 0; k1 < width[1]; ++k1) {
        for (int k2 = 0; k2 < width[2]; ++k2) {
          add(plane, at[0] + k0 * dilation[0], at[1] + k1 * dilation[1], at[2] + k2 * dilation[2], best, best_index);
        }
      }
    }
  }

  if (SHARED == 1) {
    shared_value[lane] = best;
    shared_index[lane] = best_index;
    barrier();
    for (uint size = gl_WorkGroupSize.x; size > 1;) {
      const uint half_size = (size + 1) / 2;
      if (lane + half_size < size) {
        if (KIND == kMax) {
          Number value = shared_value[lane];
          int index = shared_index[lane];
          keep_larger(value, index, shared_value[lane + half_size], shared_index[lane + half_size]);
          shared_value[lane] = value;
          shared_index[lane] = index;
        } else {
          shared_value[lane] += shared_value[lane + half_size];
        }
      }
      barrier();
      size = half_size;
    }
    if (lane > 0) return;
    best = shared_value[0];
    best_index = shared_index[0];
  }
#ifdef NUMBER_real
  if (KIND == kMax) {
    y[i] = best_index < 0 ? -kInfinity : best;
  } else if (KIND == kAverage) {
    y[i] = best / float(max(divisor, 1));
  } else {
    y[i] = p == 1.0 ? best : p == 2.0 ? sqrt(best) : power(best, 1.0 / p);
  }
#else
  y[i] = best_index < 0 ? lowest : best;
#endif
  if (HAS_INDICES == 1) indices[i] = best_index < 0 ? -1 : plane + best_index;
}
