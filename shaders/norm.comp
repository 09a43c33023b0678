#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// RMS norm and layer norm over rows of `width` (engine/ops/norm.cpp). A workgroup takes one row, its lanes go along it
// two or three times: the mean first, then the squares of the differences, so that no large numbers cancel.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CENTRED = 0;
layout(constant_id = 2) const uint HAS_BIAS = 0;
#include "memory.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint width;
  uint rows;
  float eps;
};

#ifdef VECTOR_4
READ_F32X4(0, x);
READ_F32X4(1, weight);
READ_F32X4(2, bias);
#define Element vec4
#define load load_f32x4
const uint STEP = 4;
float add_up(vec4 v) { return (v.x + v.y) + (v.z + v.w); }
#else
READ_F32(0, x);
READ_F32(1, weight);
READ_F32(2, bias);
#define Element float
#define load load_f32
const uint STEP = 1;
float add_up(float v) { return v; }
#endif
WRITE_F32(3, y);

void main() {
  const uint row = workgroup_index();
  if (row >= rows) return;  // the whole workgroup leaves together
  const uint lane = gl_LocalInvocationID.x;
  const uint count = width / STEP;

  float mean = 0.0;
  if (CENTRED == 1) {
    float sum = 0.0;
    for (uint i = lane; i < count; i += gl_WorkGroupSize.x) sum += add_up(load(x, row * count + i));
    mean = workgroup_sum(sum) / float(width);
  }
  float squares = 0.0;
  for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
    const Element v = load(x, row * count + i) - Element(mean);
    squares += dot(v, v);
  }
  const float scale = inversesqrt(workgroup_sum(squares) / float(width) + eps);
  for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
    Element v = (load(x, row * count + i) - Element(mean)) * scale * load(weight, i);
    if (HAS_BIAS == 1) v += load(bias, i);
#ifdef VECTOR_4
    for (uint c = 0; c < 4; ++c) y[row * width + i * 4 + c] = v[c];
#else
    y[row * width + i] = v;
#endif
  }
}
