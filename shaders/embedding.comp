#version 450
// variant ACCESS: storage texel
// variant WEIGHT: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q2_k q3_k q4_k q5_k q6_k
//
// y[t, :] = scale * table[ids[t], :] (engine/ops/embedding.cpp). An invocation decodes a unit of a row (weights.glsl). The
// dispatch holds rows [first, first + count) of the table and leaves the others' tokens to its siblings; the dispatch
// with row 0 writes zeros for ids outside the table.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint BAND = 1;
#include "memory.glsl"
#include "weights.glsl"

layout(push_constant) uniform Push {
  uint tokens;
  uint width;
  uint row_units;
  uint first;
  uint count;
  uint vocabulary;
  float scale;
};

READ_I32(0, ids);
WRITE_F32(3, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= tokens * row_units) return;
  const uint t = i / row_units;
  const uint unit = i % row_units;
  const uint id = uint(load_i32(ids, t));  // a negative id becomes a large one
  const bool here = id >= first && id < first + count;
  const bool nowhere = id >= vocabulary && first == 0;
  if (!here && !nowhere) return;
  const Unit u = load_unit(weight_row(here ? id - first : 0, row_units), unit);
#ifdef UNIT_SCALED
  const float factor = nowhere ? 0.0 : scale * u.scale;
#else
  const float factor = nowhere ? 0.0 : scale;
#endif
  for (uint j = 0; j < UNIT_VECTORS; ++j) {
    const vec4 v = factor * unit_vector(u, j);
    for (uint c = 0; c < 4; ++c) {
      const uint k = (unit * UNIT_VECTORS + j) * 4 + c;
      if (k < width) y[t * width + k] = v[c];
    }
  }
}
