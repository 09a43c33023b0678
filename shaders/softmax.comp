#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Softmax over one dimension, its logarithm, or 1 where the first maximum is (engine/ops/softmax.cpp). A workgroup takes
// one row of `length` elements that lie `inner` apart, its lanes go along it three times: maximum, sum (or the place of
// the maximum), result.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint RESULT = 0;
#include "functions.glsl"
#include "memory.glsl"
#include "reduce.glsl"

const uint kLogarithm = 1;
const uint kHard = 2;

layout(push_constant) uniform Push {
  uint rows;
  uint length;
  uint inner;
};

READ_F32(0, x);
WRITE_F32(1, y);

void main() {
  const uint row = workgroup_index();
  if (row >= rows) return;
  const uint base = row / inner * length * inner + row % inner;
  const uint lane = gl_LocalInvocationID.x;
  // A lane without elements repeats the first one.
  float largest = load_f32(x, base);
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) largest = max(largest, load_f32(x, base + i * inner));
  largest = workgroup_max(largest);
  if (RESULT == kHard) {
    float place = -float(length);
    float broken = place;  // of the first NaN, which is above all numbers
    for (uint i = lane; i < length; i += gl_WorkGroupSize.x) {
      const float element = load_f32(x, base + i * inner);
      if (is_nan(element)) {
        broken = max(broken, -float(i));
      } else if (element == largest) {
        place = max(place, -float(i));
      }
    }
    place = workgroup_max(place);
    broken = workgroup_max(broken);
    if (broken > -float(length)) place = broken;
    for (uint i = lane; i < length; i += gl_WorkGroupSize.x) y[base + i * inner] = float(i) == -place ? 1.0 : 0.0;
    return;
  }
  float sum = 0.0;
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) sum += exponential(load_f32(x, base + i * inner) - largest);
  sum = workgroup_sum(sum);
  if (RESULT == kLogarithm) {
    const float shift = natural_log(sum);
    for (uint i = lane; i < length; i += gl_WorkGroupSize.x) {
      y[base + i * inner] = load_f32(x, base + i * inner) - largest - shift;
    }
    return;
  }
  const float scale = 1.0 / sum;
  for (uint i = lane; i < length; i += gl_WorkGroupSize.x) {
    y[base + i * inner] = exponential(load_f32(x, base + i * inner) - largest) * scale;
  }
}
