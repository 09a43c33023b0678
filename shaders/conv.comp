#version 450
// variant ACCESS: storage texel
// variant OUTPUTS: 4 1
// variant X: vectors elements
// variant SAME: read shuffle
// without OUTPUTS_1 .*SAME_shuffle: neighbours read other parts of x
//
// Convolution (engine/ops/conv_tiles.cpp). A lane owns TALL rows of PIXELS neighbours of the output and OUTPUTS * QUADS
// channels in registers. For each channel it fetches what these need of x in vec4s, padding included, and the weights of
// ROWS rows of the kernel: with a 3x3 kernel, 8 pixels, 2 rows and 8 channels 30 fetches for 2304 flops, with 1 row and 4
// channels, which fit the registers of all devices, 18 for 576. Lanes go through the output channels first, so that
// neighbours read the same x and neighbouring weights. By single elements 10 fetches take the place of 3 of a row.
// With SAME_shuffle a workgroup is one subgroup that has one tile of pixels, whose lanes fetch pieces of x in turn and hand
// them on: with a 3x3 kernel, 8 pixels and 4 rows 3 fetches of each of 8 lanes take the place of 18.
// Push constants are read before the loops: CPU drivers gather them for each lane wherever they are.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
#include "constants/conv.h"
#include "conv_rows.glsl"
#include "conv_epilogue.glsl"
#include "hand_on.glsl"

const uint LENGTH = SHIFT + (PIXELS - 1) * STRIDE + (KERNEL - 1) * DILATION + 1;
const uint PIECES = (LENGTH + PIECE - 1) / PIECE;
const uint X_ROWS = TALL == 1 ? ROWS : (TALL - 1) * STRIDE_Y + ROWS;
const uint TAPS = ROWS * KERNEL;
const uint FETCHED = X_ROWS * PIECES;
const uint RUN = PIXELS < 4 ? PIXELS : 4;  // pixels whose sums stay in registers for all taps

#ifdef SAME_shuffle
const uint PIECES_HELD = HELD(FETCHED);  // and where they are
uint held_row[PIECES_HELD];
uint held_column[PIECES_HELD];
uint held_at[PIECES_HELD];
#endif

Sum sums[QUADS * TALL * PIXELS];

// What x consists of, and how far it is from one of ROWS to the next, in pieces, and in words of weights.
struct Steps {
  uint rows, pieces;
  uint x_row, w_tap;
};

// Adds what X_ROWS rows of x give, of a channel or of CHANNELS of them: from piece `column` of row `row` on, which is piece
// `x_at` of x where it lies inside. All fetches come first: CPU drivers call a function for each, and what is alive then is
// spilled. Sums of four channels and RUN pixels then stay in registers for all taps.
void add_rows(uint x_at, bool slice_inside, uint row, uint column, uint w_at, Steps steps) {
  Piece xs[FETCHED];
  Sum ws[TAPS * QUADS];
#ifdef SAME_shuffle
  Piece held[PIECES_HELD];
  [[unroll]] for (uint i = 0; i < PIECES_HELD; ++i) {
    const bool inside = slice_inside && row + held_row[i] < steps.rows && column + held_column[i] < steps.pieces;
    held[i] = piece_of(x_at + held_at[i], inside);
  }
  [[unroll]] for (uint i = 0; i < FETCHED; ++i) xs[i] = HANDED_ON(held, i);
#else
  [[unroll]] for (uint r = 0; r < X_ROWS; ++r) {
    const bool row_inside = slice_inside && (CHANNELS > 1 ? row : row + r * DILATION_Y) < steps.rows;
    [[unroll]] for (uint v = 0; v < PIECES; ++v) {
      xs[r * PIECES + v] = piece_of(x_at + r * steps.x_row + v, row_inside && column + v < steps.pieces);
    }
  }
#endif
  [[unroll]] for (uint k = 0; k < TAPS; ++k) {
    [[unroll]] for (uint q = 0; q < QUADS; ++q) ws[k * QUADS + q] = load_weight(w, w_at + k * steps.w_tap + q);
  }
  [[unroll]] for (uint q = 0; q < QUADS; ++q) {
    [[unroll]] for (uint j = 0; j < TALL; ++j) {
      [[unroll]] for (uint first = 0; first < PIXELS; first += RUN) {
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
          [[unroll]] for (uint k = 0; k < KERNEL; ++k) {
            [[unroll]] for (uint i = 0; i < RUN; ++i) {
              const uint e = SHIFT + (first + i) * STRIDE + k * DILATION;
              sums[(q * TALL + j) * PIXELS + first + i] +=
                  ws[(r * KERNEL + k) * QUADS + q] * element_of(xs, (j * STRIDE_Y + r) * PIECES, e);
            }
          }
        }
      }
    }
  }
}

void main() {
  const uint all_blocks = blocks;
#ifdef SAME_shuffle
  const uint sets = (all_blocks + HOLDERS - 1) / HOLDERS;
  const uint id = workgroup_index();
  if (id >= count) return;
  const uint own = id % sets * HOLDERS + lane;
  const uint block = min(own, all_blocks - 1);  // lanes past the last compute what it does and write nothing
  uint rest = id / sets;
#else
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= count) return;
  const uint own = id % all_blocks;
  const uint block = own;
  uint rest = id / all_blocks;
#endif
  const uint tile = rest % tiles;
  rest /= tiles;
  const uint tall_rows = (height + TALL - 1) / TALL;
  const uint oy = rest % tall_rows * TALL;
  rest /= tall_rows;
  const uint oz = rest % depth;
  rest /= depth;  // batch and group
  const uint group = rest % groups;

  [[unroll]] for (uint i = 0; i < QUADS * TALL * PIXELS; ++i) sums[i] = Sum(0.0);

  const uint slice_pieces = row_pieces * rows;
  const uint all_slices = slices;
  const uint channel_pieces = slice_pieces * all_slices;
  const uint row_step = DILATION_Y * row_pieces;
  const Steps steps = Steps(rows, row_pieces, CHANNELS > 1 ? channel_pieces : row_step, all_blocks * QUADS);
  const uint slice = oz * stride_z + first_z;
  const uint row = oy * STRIDE_Y + FIRST_Y;
  const uint column = tile * (PIXELS * STRIDE / PIECE) + FIRST_PIECE;
  const uint end = end_channel;
  const uint w_channel_step = CHANNELS * weight_step;
  const uint z_rows = kernel_z;
  const uint y_rows = kernel_y;
  const uint z_step = dilation_z;
#ifdef SAME_shuffle
  [[unroll]] for (uint i = 0; i < PIECES_HELD; ++i) {
    const uint piece = min(i * HOLDERS + holder, FETCHED - 1);
    const uint r = piece / PIECES;
    held_row[i] = CHANNELS > 1 ? 0 : r * DILATION_Y;
    held_column[i] = piece % PIECES;
    held_at[i] = r * steps.x_row + held_column[i];
  }
#endif
  uint x_channel = (rest * channels + first_channel) * channel_pieces + slice * slice_pieces + row * row_pieces + column;
  uint w_channel = (group * channels + first_channel) * weight_step + block * QUADS;
  for (uint c = first_channel; c < end; c += CHANNELS) {
    if (DEEP == 0) {
      add_rows(x_channel, slice < all_slices, row, column, w_channel, steps);
    } else {
      uint w_at = w_channel;
      for (uint kz = 0; kz < z_rows; ++kz) {
        const uint slice_of = slice + kz * z_step;
        const uint x_slice = x_channel + kz * z_step * slice_pieces;
        for (uint ky = 0; ky < y_rows; ++ky) {
          add_rows(x_slice + ky * ROWS * row_step, slice_of < all_slices, row + ky * ROWS * DILATION_Y, column, w_at,
                   steps);
          w_at += TAPS * steps.w_tap;
        }
      }
    }
    x_channel += CHANNELS * channel_pieces;
    w_channel += w_channel_step;
  }

  const uint first = own * OUTPUTS * QUADS;
  const uint of_all = outputs;
  const uint of_groups = groups * of_all;
  const uint picture = rest / groups;
  const uint x_end = width - tile * PIXELS;
  const uint y_end = height - oy;
  const uint y_row_step = y_row;
  const uint y_pixel = y_step;
  const uint y_plane = y_channel;
  const uint y_tile = y_first + oz * y_slice + oy * y_row_step + tile * PIXELS * y_pixel;
  [[unroll]] for (uint o = 0; o < OUTPUTS * QUADS; ++o) {
    if (first + o < of_all) {
      const uint channel = group * of_all + first + o;
      const uint at = y_tile + output_channel(picture, channel, of_groups, y_plane, y_row_step);
      const float before = STARTED == 0 ? bias_of(channel) : 0.0;
      [[unroll]] for (uint y_in = 0; y_in < TALL; ++y_in) {
        [[unroll]] for (uint p = 0; p < PIXELS; ++p) {
          if (p < x_end && y_in < y_end) {
            const uint place = at + y_in * y_row_step + p * y_pixel;
            float sum = part(sums[(o / OUTPUTS * TALL + y_in) * PIXELS + p], o % OUTPUTS) + before;
            if (STARTED == 1) sum += y[place];
            y[place] = UNFINISHED == 1 ? sum : finished(sum, place);
          }
        }
      }
    }
  }
}
