#version 450
// variant ACCESS: storage texel
//
// What attention adds by the distance of key and query (engine/ops/relative_bias.cpp): an element of y [heads, rows,
// length] an invocation.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint POSITIONS = 0;  // 0: queries begin at 0, 1: at position[0], 2: each has its own
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint heads;
  uint rows;
  uint length_of_keys;
  uint last_distance;  // that `buckets` knows
  uint after_buckets;  // what is added to the bucket of a key after its query; 0: such keys count as at it
};

READ_F32(0, table);
READ_I32(1, buckets);
READ_I32(2, position);
WRITE_F32(3, y);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= heads * rows * length_of_keys) return;
  const int key = int(i % length_of_keys);
  const uint row = i / length_of_keys % rows;
  const uint head = i / length_of_keys / rows;
  int query = int(row);
  if (POSITIONS == 1) query += load_i32(position, 0);
  if (POSITIONS == 2) query = load_i32(position, row);
  const bool after = key > query;
  const uint distance = after && after_buckets == 0 ? 0 : uint(abs(key - query));
  uint bucket = uint(load_i32(buckets, min(distance, last_distance)));
  if (after) bucket += after_buckets;
  y[i] = load_f32(table, bucket * heads + head);
}
