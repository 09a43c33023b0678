// What becomes of the sums of a product (engine/ops/linear.cpp), after what says ACTIVATION, HAS_BIAS, HAS_RESIDUAL, GATED
// and width. Declares bindings 3, 4 and 6.
#ifndef HEED_LINEAR_EPILOGUE_GLSL
#define HEED_LINEAR_EPILOGUE_GLSL

#include "activation.glsl"

READ_F32(3, bias);
READ_F32(4, residual);
WRITE_F32(6, y);

// Writes y[t, n], whose sum is `value` and, with a gate, that of its partner `linear_part`.
void write_y(uint t, uint n, float value, float linear_part) {
  if (HAS_BIAS == 1) value += load_f32(bias, n);
  value = activate(ACTIVATION, value);
  if (GATED == 1) {
    if (HAS_BIAS == 1) linear_part += load_f32(bias, n + width);
    value *= linear_part;
  }
  if (HAS_RESIDUAL == 1) value += load_f32(residual, t * width + n);
  y[t * width + n] = value;
}

#endif
