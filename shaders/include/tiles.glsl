// Products of matrices in tiles: TILE_ROWS rows of a times TILE_COLUMNS rows of b, both of which lie along k. A workgroup
// holds STEP columns of k of both in shared memory as f32, and its lanes keep LANE_ROWS x LANE_COLUMNS sums each in
// registers. Include after the constants
//   TILE_ROWS, TILE_COLUMNS   powers of two, TILE_COLUMNS / LANE_COLUMNS at least 8
//   LANE_ROWS, LANE_COLUMNS   with TILE_ROWS / LANE_ROWS * TILE_COLUMNS / LANE_COLUMNS lanes in the workgroup
// The kernel fetches the next step into registers of its own, and does for each step
//   barrier(); put_a(..); put_b(..); barrier(); (fetch of the next step) multiply_step();
// A lane's sum [r][c] is that of rows tile_row(r) and tile_column(c), both within the tile.
//
// A step is (TILE_ROWS + TILE_COLUMNS) 128 bytes of shared memory; for 4 of its columns a lane reads LANE_ROWS + LANE_COLUMNS
// vec4s for 8 LANE_ROWS LANE_COLUMNS flops. Lanes side by side in the workgroup have columns side by side: those of a read
// the same vec4, those of b one each of rows side by side, which are turned against each other (xor) so that eight of
// them lie in different banks without padding.
#ifndef HEED_TILES_GLSL
#define HEED_TILES_GLSL

// Arrays that are indexed by loops live in registers only where those are unrolled.
#extension GL_EXT_control_flow_attributes : require

const uint STEP = 32;           // columns of k
const uint STEP_VECTORS = 8;    // vec4s that hold them
const uint LANES_ACROSS = TILE_COLUMNS / LANE_COLUMNS;

shared vec4 tile_a[TILE_ROWS * STEP_VECTORS];
shared vec4 tile_b[TILE_COLUMNS * STEP_VECTORS];

float sums[LANE_ROWS * LANE_COLUMNS];

uint tile_row(uint r) { return gl_LocalInvocationID.x / LANES_ACROSS * LANE_ROWS + r; }
uint tile_column(uint c) { return gl_LocalInvocationID.x % LANES_ACROSS + c * LANES_ACROSS; }

void put_a(uint row, uint k4, vec4 v) { tile_a[row * STEP_VECTORS + k4] = v; }
void put_b(uint row, uint k4, vec4 v) { tile_b[row * STEP_VECTORS + (k4 ^ row % STEP_VECTORS)] = v; }

void clear_sums() {
  [[unroll]] for (uint i = 0; i < LANE_ROWS * LANE_COLUMNS; ++i) sums[i] = 0.0;
}

// Adds what is in the tiles, in the order of k: what a sum becomes does not depend on the shape of the tiles.
void multiply_step() {
  const uint a = tile_row(0) * STEP_VECTORS;
  const uint b = tile_column(0) * STEP_VECTORS;
  const uint turned = tile_column(0) % STEP_VECTORS;
  for (uint k4 = 0; k4 < STEP_VECTORS; ++k4) {
    vec4 bs[LANE_COLUMNS];
    [[unroll]] for (uint c = 0; c < LANE_COLUMNS; ++c) bs[c] = tile_b[b + c * LANES_ACROSS * STEP_VECTORS + (k4 ^ turned)];
    [[unroll]] for (uint r = 0; r < LANE_ROWS; ++r) {
      const vec4 v = tile_a[a + r * STEP_VECTORS + k4];
      [[unroll]] for (uint c = 0; c < LANE_COLUMNS; ++c) {
        float sum = sums[r * LANE_COLUMNS + c];
        sum = fma(v.x, bs[c].x, sum);
        sum = fma(v.y, bs[c].y, sum);
        sum = fma(v.z, bs[c].z, sum);
        sums[r * LANE_COLUMNS + c] = fma(v.w, bs[c].w, sum);
      }
    }
  }
}

#endif
