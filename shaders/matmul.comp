#version 450
// variant ACCESS: storage texel
// variant SAME: read storage
// variant KIND: real integer
// without SAME_storage KIND_integer: seldom used
//
// y[batch, m, n] = alpha sum_k a[batch, m, k] b[batch, k, n] (engine/ops/matmul.cpp), for rows of a and b that are whole
// vec4s. A lane owns ROWS rows and 4 columns of y in registers; for four k it fetches a vec4 of each row of a and of 4
// rows of b: 16 (ROWS + 4) bytes for 32 ROWS flops. No shared memory. A workgroup's lanes lie side by side along n, and
// where y is NARROW the rest of them along m. Workgroups: rows vary fastest, so that neighbours share b. Long sums of few
// elements come in parts. Integers are of 32 bits, wrap around, and have no alpha; signed ones are unsigned ones here.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint ROWS = 8;
layout(constant_id = 2) const uint NARROW = 0;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint batches;
  uint rows, columns;
  uint parts;               // of the sums, each with a y of its own
  uint part_length, length;  // of one and of all, in vec4s
  uint a_row, b_row;        // vec4s from row to row
  uint row_groups, column_groups;
  uint width;               // lanes along n
  float alpha;
  uint sizes[5];            // of the inner loops over batches
  uint a_strides[6];        // in vec4s
  uint b_strides[6];
};

#ifdef KIND_integer
READ_U32X4(0, a);
READ_U32X4(1, b);
WRITE_U32(2, y);
#define Vector uvec4
#define load_a load_u32x4
#define load_b load_u32x4
#define add_product(x, y, sum) (sum + (x) * (y))
#define finish(sum) sum
#else
SAME_F32X4(0, a);
READ_F32X4(1, b);
WRITE_F32(2, y);
#define Vector vec4
#define load_a load_same_f32x4
#define load_b load_f32x4
#define add_product(x, y, sum) fma(x, y, sum)
#define finish(sum) alpha * sum
#endif

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint group = workgroup_index();
  const uint matrix = group / (row_groups * column_groups);
  const uint batch = matrix / parts;
  if (batch >= batches) return;
  const uint within = group - matrix * (row_groups * column_groups);
  const uint column_group = within / row_groups;
  const uint row_group = within - column_group * row_groups;
  const uint tiles = gl_WorkGroupSize.x / width;
  const uint m0 = (NARROW == 1 ? row_group * tiles + lane / width : row_group) * ROWS;
  const uint quad = column_group * width + (NARROW == 1 ? lane % width : lane);
  const uint n0 = quad * 4;
  if (m0 >= rows || n0 >= columns) return;

  uint a_base = 0;
  uint b_base = quad;
  uint rest = batch;
  for (uint loop = 0; loop < 5; ++loop) {
    const uint whole = rest / sizes[4 - loop];
    const uint part = rest - whole * sizes[4 - loop];
    a_base += part * a_strides[5 - loop];
    b_base += part * b_strides[5 - loop];
    rest = whole;
  }
  a_base += rest * a_strides[0];
  b_base += rest * b_strides[0];

  uint a_rows[ROWS];
  for (uint r = 0; r < ROWS; ++r) a_rows[r] = a_base + min(m0 + r, rows - 1) * a_row;
  Vector sums[ROWS];
  for (uint r = 0; r < ROWS; ++r) sums[r] = Vector(0);
  const uint k_begin = (matrix - batch * parts) * part_length;
  const uint k_end = min(k_begin + part_length, length);
  for (uint k = k_begin; k < k_end; ++k) {
    const uint at = b_base + k * 4 * b_row;
    const Vector b0 = load_b(b, at);
    const Vector b1 = load_b(b, at + b_row);
    const Vector b2 = load_b(b, at + 2 * b_row);
    const Vector b3 = load_b(b, at + 3 * b_row);
    Vector as[ROWS];
    for (uint r = 0; r < ROWS; ++r) as[r] = load_a(a, a_rows[r] + k);
    for (uint r = 0; r < ROWS; ++r) {
      sums[r] = add_product(Vector(as[r].x), b0, sums[r]);
      sums[r] = add_product(Vector(as[r].y), b1, sums[r]);
      sums[r] = add_product(Vector(as[r].z), b2, sums[r]);
      sums[r] = add_product(Vector(as[r].w), b3, sums[r]);
    }
  }

  for (uint r = 0; r < ROWS; ++r) {
    if (m0 + r >= rows) break;
    const uint to = (matrix * rows + m0 + r) * columns + n0;
    for (uint c = 0; c < 4; ++c) {
      if (n0 + c >= columns) break;
      y[to + c] = finish(sums[r][c]);
    }
  }
}
