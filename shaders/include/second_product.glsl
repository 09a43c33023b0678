// The second of two products in one dispatch, for a single row: y = h W2^T + bias2 + residual, where each workgroup has some
// columns of h. Each writes its part of the sums, and the one that arrives last adds them up, in the same order every time.
// Nobody waits for anybody, so workgroups may run in any order, one after the other too. Include after lanes.glsl, bias_2,
// residual, `y`, and what says HAS_BIAS_2, HAS_RESIDUAL, row_units_2 and width. Declares binding PARTS
// (gl_NumWorkGroups.x rows of parts) and PARTS + 1 (a counter, 0 between dispatches).
#ifndef HEED_SECOND_PRODUCT_GLSL
#define HEED_SECOND_PRODUCT_GLSL

#include "arrival.glsl"

// This workgroup's columns of h, in units [begin, end) of a row of W2, are what fetch_x(unit, true) gives.
void second_product(uint begin, uint end) {
  const uint lanes = gl_WorkGroupSize.x;
  const uint lane = gl_LocalInvocationID.x;
  for (uint first = 0; first < width; first += SUMS * lanes) {
    float products[SUMS];
    Row row_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) {
      products[r] = 0.0;
      // Rows past the end repeat the last one and are not written.
      row_of[r] = weight_row_2(min(first + r * lanes + lane, width - 1), row_units_2);
    }
    multiply(row_of, begin, end, true, products);
    for (uint r = 0; r < SUMS; ++r) {
      const uint n = first + r * lanes + lane;
      if (n < width) parts[gl_WorkGroupID.x * width + n] = products[r];
    }
  }
  if (!arrives_last(0, gl_NumWorkGroups.x)) return;
  for (uint n = lane; n < width; n += lanes) {
    float value = 0.0;
    for (uint group = 0; group < gl_NumWorkGroups.x; ++group) value += parts[group * width + n];
    if (HAS_BIAS_2 == 1) value += load_f32(bias_2, n);
    if (HAS_RESIDUAL == 1) value += load_f32(residual, n);
    y[n] = value;
  }
}

#endif
