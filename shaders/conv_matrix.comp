#version 450
// variant ACCESS: storage texel
//
// Convolution as a product of matrices (engine/ops/conv_matrix.cpp), one for each group: weights [output channel, k] times
// [k, pixel] of what lies under the kernel, where k goes through the taps and through the channels of each. That second
// matrix is nowhere: a lane gathers its elements from x on their way into shared memory, and what lies outside of x is 0.
// A workgroup makes a tile of TILE_ROWS channels and TILE_COLUMNS pixels of all pictures (tiles.glsl), and fetches the next
// step of 32 k while this one is multiplied: 128 TILE_ROWS bytes of weights, 8 lanes side by side in a row of them, and
// 128 TILE_COLUMNS bytes of x, single elements of which lanes side by side read those of pixels side by side, for
// 64 TILE_ROWS TILE_COLUMNS flops.
// A vec4 of k is 4 channels of a tap, so that an address is computed once for four elements. Weights lie as
// [groups, outputs, taps, channels / 4, 4], with zeros in what is no channel.
// Workgroups: tiles of the same pixels come one after the other, then parts of their sums (IN_PARTS: y is
// [parts, pictures, outputs, pixels of a picture], of which conv_parts.comp makes the outputs), then other pixels, then
// other groups, each of which is a product of its own.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv_matrix.h"

#include "conv_pixels.glsl"
#include "tiles.glsl"

READ_F32(0, x);
READ_F32X4(1, w);

const uint LANES = TILE_ROWS / LANE_ROWS * (TILE_COLUMNS / LANE_COLUMNS);

// Pixels that a lane gathers, each of which SHARERS lanes share: X_VECTORS vectors of a step for each.
const uint X_PIXELS = (TILE_COLUMNS + LANES - 1) / LANES;
const uint SHARERS = LANES > TILE_COLUMNS ? LANES / TILE_COLUMNS : 1;
const uint X_VECTORS = STEP_VECTORS / SHARERS;
const uint W_ITEMS = (TILE_ROWS * STEP_VECTORS + LANES - 1) / LANES;

Source sources[X_PIXELS];  // that the lane gathers of, in their groups' first channels
uint tap;     // of the lane's first vector of the next step
uint vector;  // of that tap's channels
vec4 next_x[X_PIXELS * X_VECTORS];
vec4 next_w[W_ITEMS];

uint x_column(uint p) { return p * LANES + gl_LocalInvocationID.x % TILE_COLUMNS; }
uint x_vector() { return gl_LocalInvocationID.x / TILE_COLUMNS * X_VECTORS; }
uint w_item(uint i) { return i * LANES + gl_LocalInvocationID.x; }

Source source_of_group(uint i, uint group) {
  const Pixel p = pixel_at(i);
  return source_of(p, (p.picture * groups + group) * channels);
}

// Four channels from 4 `v` on under tap `k`.
vec4 gather(Source s, uint k, uint v) {
  const uint plane = in_size[0] * in_size[1] * in_size[2];
  uint at;
  const bool inside = find_tap(s, k, at);
  at += v * 4 * plane;
  vec4 result;
  [[unroll]] for (uint e = 0; e < 4; ++e) {
    const bool there = inside && (RAGGED == 0 || v * 4 + e < channels);
    const float element = load_f32(x, there ? at + e * plane : 0);  // every buffer holds a first one
    result[e] = there ? element : 0.0;
  }
  return result;
}

void fetch(uint step, uint channel0, uint group) {
  const uint row_vectors = TAPS * channel_vectors;
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    // Channels past the end repeat the last one and are not written.
    const uint row = group * outputs + min(channel0 + w_item(i) / STEP_VECTORS, outputs - 1);
    const uint v = step * STEP_VECTORS + w_item(i) % STEP_VECTORS;
    const vec4 word = load_f32x4(w, row * row_vectors + min(v, row_vectors - 1));
    next_w[i] = v < row_vectors ? word : vec4(0.0);
  }
  uint k = tap;
  uint v = vector;
  [[unroll]] for (uint i = 0; i < X_VECTORS; ++i) {
    [[unroll]] for (uint p = 0; p < X_PIXELS; ++p) next_x[p * X_VECTORS + i] = gather(sources[p], k, v);
    ++v;
    if (v == channel_vectors) {
      v = 0;
      ++k;
    }
  }
}

void put() {
  [[unroll]] for (uint i = 0; i < W_ITEMS; ++i) {
    if (TILE_ROWS * STEP_VECTORS % LANES != 0 && w_item(i) >= TILE_ROWS * STEP_VECTORS) break;
    put_a(w_item(i) / STEP_VECTORS, w_item(i) % STEP_VECTORS, next_w[i]);
  }
  [[unroll]] for (uint p = 0; p < X_PIXELS; ++p) {
    [[unroll]] for (uint i = 0; i < X_VECTORS; ++i) put_b(x_column(p), x_vector() + i, next_x[p * X_VECTORS + i]);
  }
}

void main() {
  const uint index = workgroup_index();
  const uint channel0 = index % row_tiles * TILE_ROWS;
  const uint part = index / row_tiles % parts;
  const uint tile = index / row_tiles / parts;  // of pixels, of all groups
  const uint pixel_tiles = (pixels + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint pixel0 = tile % pixel_tiles * TILE_COLUMNS;
  const uint group = tile / pixel_tiles;
  if (group >= groups) return;

  // Pixels past the end repeat the last one and are not written.
  [[unroll]] for (uint p = 0; p < X_PIXELS; ++p) {
    sources[p] = source_of_group(min(pixel0 + x_column(p), pixels - 1), group);
  }
  const uint begin_step = part * part_steps;
  const uint end_step = min(begin_step + part_steps, (TAPS * channel_vectors + STEP_VECTORS - 1) / STEP_VECTORS);
  tap = (begin_step * STEP_VECTORS + x_vector()) / channel_vectors;
  vector = (begin_step * STEP_VECTORS + x_vector()) % channel_vectors;
  const uint step_taps = STEP_VECTORS / channel_vectors;
  const uint step_vectors = STEP_VECTORS % channel_vectors;

  clear_sums();
  fetch(begin_step, channel0, group);
  for (uint step = begin_step; step < end_step; ++step) {
    barrier();
    put();
    barrier();
    if (step + 1 < end_step) {
      tap += step_taps;
      vector += step_vectors;
      if (vector >= channel_vectors) {
        vector -= channel_vectors;
        ++tap;
      }
      fetch(step + 1, channel0, group);
    }
    multiply_step();
  }

  [[unroll]] for (uint c = 0; c < LANE_COLUMNS; ++c) {
    const uint i = pixel0 + tile_column(c);
    if (i >= pixels) break;
    const Pixel p = pixel_at(i);
    [[unroll]] for (uint r = 0; r < LANE_ROWS; ++r) {
      if (channel0 + tile_row(r) >= outputs) break;
      const uint channel = group * outputs + channel0 + tile_row(r);
      write_sum(p, channel, part, sums[r * LANE_COLUMNS + c]);
    }
  }
}
