#version 450
// variant ACCESS: storage texel
//
// x where a grid says, interpolated (engine/ops/grid_sample.cpp). One element an invocation, which reads `rank`
// coordinates and TAPS^rank elements.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint MODE = 1;
#include "memory.glsl"

const uint kNearest = 0;
const uint kCubic = 2;
const uint kBorder = 1;
const uint kReflection = 2;

layout(push_constant) uniform Push {
  uint count;
  uint channels;
  uint points;  // of the result in each plane
  uint rank;
  int size[3];  // of x; the dimensions that it lacks are outer ones of 1
  uint padding;
  uint align_corners;
};

READ_F32(0, x);
READ_F32(1, grid);
WRITE_F32(2, y);

const uint TAPS = MODE == kNearest ? 1 : MODE == kCubic ? 4 : 2;

float reflect_between(float at, float low, float high) {
  const float range = high - low;
  if (at >= low && at <= high) return at;
  if (range == 0.0) return low;
  const float distance = at < low ? low - at : at - high;
  const float times = floor(distance / range);
  const float rest = distance - times * range;
  const bool even = times - 2.0 * floor(0.5 * times) == 0.0;
  return (at < low) == even ? low + rest : high - rest;
}

int positive_remainder(int a, int b) { return a >= 0 ? a % b : b - 1 - (-1 - a) % b; }

// The element that stands for `at`, or -1.
int element(int at, int length) {
  if (padding == kBorder) return clamp(at, 0, length - 1);
  if (padding == kReflection) {
    if (align_corners == 1) {
      if (length == 1) return 0;
      const int within = positive_remainder(at, 2 * (length - 1));
      return min(within, 2 * (length - 1) - within);
    }
    const int within = positive_remainder(at, 2 * length);
    return min(within, 2 * length - 1 - within);
  }
  return at >= 0 && at < length ? at : -1;
}

// The weight of an element so far away; cubic after Keys 1981 with a = -0.75.
float weight_of(float distance) {
  const float d = abs(distance);
  if (MODE != kCubic) return 1.0 - d;
  return d <= 1.0 ? (1.25 * d - 2.25) * d * d + 1.0 : ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0;
}

void taps_of(float coordinate, int length_of, out int at[TAPS], out float weight[TAPS]) {
  const float length = float(length_of);
  const float low = align_corners == 1 ? 0.0 : -0.5;
  const float high = align_corners == 1 ? length - 1.0 : length - 0.5;
  float place = align_corners == 1 ? (coordinate + 1.0) * 0.5 * (length - 1.0) : ((coordinate + 1.0) * length - 1.0) * 0.5;
  if (MODE == kNearest) place = roundEven(place);
  if (place < low || place > high) {
    if (padding == kBorder) place = clamp(place, 0.0, length - 1.0);
    if (padding == kReflection) place = reflect_between(place, low, high);
  }
  place = clamp(place, -1e9, 1e9);
  const float base = MODE == kNearest ? trunc(place) : floor(place);
  for (uint i = 0; i < TAPS; ++i) {
    const int offset = int(i) - (MODE == kCubic ? 1 : 0);
    at[i] = element(int(base) + offset, length_of);
    weight[i] = MODE == kNearest ? 1.0 : weight_of(place - base - float(offset));
  }
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const uint row = i / points;
  const uint place = (row / channels * points + i % points) * rank;
  int at0[TAPS];
  int at1[TAPS];
  int at2[TAPS];
  float weight0[TAPS];
  float weight1[TAPS];
  float weight2[TAPS];
  taps_of(load_f32(grid, place), size[2], at2, weight2);
  if (rank > 1) taps_of(load_f32(grid, place + 1), size[1], at1, weight1);
  if (rank > 2) taps_of(load_f32(grid, place + 2), size[0], at0, weight0);
  const int first = int(row) * size[0] * size[1] * size[2];
  float sum = 0.0;
  for (uint a = 0; a < (rank > 2 ? TAPS : 1); ++a) {
    const int i0 = rank > 2 ? at0[a] : 0;
    const float w0 = rank > 2 ? weight0[a] : 1.0;
    for (uint b = 0; b < (rank > 1 ? TAPS : 1); ++b) {
      const int i1 = rank > 1 ? at1[b] : 0;
      const float w1 = rank > 1 ? w0 * weight1[b] : w0;
      for (uint c = 0; c < TAPS; ++c) {
        if (i0 < 0 || i1 < 0 || at2[c] < 0) continue;
        sum += w1 * weight2[c] * load_f32(x, first + (i0 * size[1] + i1) * size[2] + at2[c]);
      }
    }
  }
  y[i] = sum;
}
