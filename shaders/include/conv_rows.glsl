// How kernels of convolutions read rows of x in pieces: vec4s, or, by variant X_elements, single elements, which rows that
// are no whole vec4s take. By specialization constant BOUNDED what lies outside x is 0; else memory holds all that is read.
#ifndef HEED_CONV_ROWS_GLSL
#define HEED_CONV_ROWS_GLSL
#include "memory.glsl"

#ifdef X_elements
READ_F32(0, x);
#define Piece float
#define load_piece load_f32
const uint PIECE = 1;
#define element_of(pieces, first, i) pieces[first + (i)]
#else
READ_F32X4(0, x);
#define Piece vec4
#define load_piece load_f32x4
const uint PIECE = 4;
#define element_of(pieces, first, i) pieces[first + (i) / 4][(i) % 4]
#endif

// Weights of OUTPUTS channels.
#ifdef OUTPUTS_4
READ_F32X4(1, w);
#define Sum vec4
#define load_weight load_f32x4
const uint OUTPUTS = 4;
#define part(sum, o) sum[o]
#else
READ_F32(1, w);
#define Sum float
#define load_weight load_f32
const uint OUTPUTS = 1;
#define part(sum, o) sum
#endif

Piece piece_of(uint at, bool inside) {
  if (BOUNDED == 0) return load_piece(x, at);
  const Piece piece = load_piece(x, inside ? at : 0);  // every buffer holds a first one
  return inside ? piece : Piece(0.0);
}

#endif
