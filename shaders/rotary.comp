#version 450
// variant ACCESS: storage texel
//
// Rotary position embedding (engine/ops/rotary.cpp): an invocation turns one pair of one head of one row.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HALF_SPLIT = 0;
layout(constant_id = 2) const uint OWN_POSITIONS = 0;
#include "memory.glsl"
#include "rotary.glsl"

layout(push_constant) uniform Push {
  uint rows;
  uint heads;
  uint head_dim;
  uint dims;
};

READ_F32(0, x);
READ_I32(1, position);
READ_F32(2, table);
WRITE_F32(3, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint pairs = (head_dim + 1) / 2;
  if (i >= rows * heads * pairs) return;
  const uint pair = i % pairs;
  const uint head = i / pairs % heads;
  const uint t = i / (pairs * heads);
  const uint base = (t * heads + head) * head_dim;
  const uvec2 at = rotary_elements(HALF_SPLIT == 1, dims, pair);
  const float a = load_f32(x, base + at.x);
  if (at.y >= head_dim) {  // an odd head's last element
    y[base + at.x] = a;
    return;
  }
  const float b = load_f32(x, base + at.y);
  vec2 turn = vec2(1.0, 0.0);
  const uint at_position =
      OWN_POSITIONS == 1 ? uint(max(load_i32(position, t), 0)) : uint(load_i32(position, 0)) + t;
  if (pair < dims / 2) turn = rotary_turn(table, dims / 2, at_position, pair);
  y[base + at.x] = a * turn.x - b * turn.y;
  y[base + at.y] = a * turn.y + b * turn.x;
}
