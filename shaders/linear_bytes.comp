#version 450
// variant ACCESS: storage texel
//
// Rows of x as bytes (row_bytes.glsl), for linear_dot.comp: y holds [rows, high or low, x_words] words of 16 elements, and
// blocks [rows, blocks] {step, sum}. BLOCK_LANES lanes have a block: they read 4 bytes an element, and write 2.25 or 2.5.
// Needs full subgroups of SUBGROUP_SIZE.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/linear_bytes.h"

#include "memory.glsl"
#include "row_bytes.glsl"

READ_F32X4(0, x);
WRITE_U32(1, y);
WRITE_U32(2, blocks);

void main() {
  const uint lane = gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID;
  const uint item = workgroup_index() * gl_WorkGroupSize.x + lane;
  const uint row_blocks = x_words * 16 / X_BLOCK;
  // Lanes past the end repeat the last block and write nothing.
  const uint at = min(item / BLOCK_LANES, rows * row_blocks - 1);
  const uint t = at / row_blocks;
  const uint block = at % row_blocks;
  vec4 v[LANE_VECTORS];
  uint high[LANE_VECTORS], low[LANE_VECTORS];
  uvec2 made;
  [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
    v[i] = load_f32x4(x, at * BLOCK_VECTORS + i * BLOCK_LANES + item % BLOCK_LANES);
  }
  make_bytes(v, high, low, made);
  if (item / BLOCK_LANES >= rows * row_blocks) return;
  [[unroll]] for (uint i = 0; i < LANE_VECTORS; ++i) {
    const uint vector = block * BLOCK_VECTORS + i * BLOCK_LANES + item % BLOCK_LANES;
    const uint to = (t * 2 * x_words + word_place(vector / 4, x_words)) * 4 + vector % 4;
    y[to] = high[i];
    y[to + x_words * 4] = low[i];
  }
  if (item % BLOCK_LANES == 0) {
    const uint to = (t * row_blocks + block_place(block, row_blocks)) * 2;
    blocks[to] = made.x;
    blocks[to + 1] = made.y;
  }
}
