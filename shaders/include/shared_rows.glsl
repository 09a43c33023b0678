// Products of which SHARING lanes have a weight row together, each a run of its units, and add up in shared memory, in order:
// for workgroups of any size, whatever their subgroups. Include after lanes.glsl, the constants SHARING and HAS_NORM, the push
// constants columns and norm_eps, x and norm_weight, and the vec4 `squares`; fetch_x gives fetch_normed for the first product.
#ifndef HEED_SHARED_ROWS_GLSL
#define HEED_SHARED_ROWS_GLSL

shared float sums_shared[gl_WorkGroupSize.x * (SUMS + 1)];

// Whether this lane is the first of those that share a row.
bool leads() { return gl_LocalInvocationID.x % SHARING == 0; }

void fetch_normed(uint at, out vec4 xs[FETCHED]) {
  for (uint j = 0; j < PART_VECTORS; ++j) {
    xs[j] = load_f32x4(x, at + j);
    if (HAS_NORM == 1) {
      squares += xs[j] * xs[j];
      xs[j] *= load_f32x4(norm_weight, at + j);
    }
  }
}

// sums[r] = sum_k x[k] norm_weight[k] W[r, k], for the lane that leads(); returns what the norm makes of them. All lanes
// of the workgroup call it.
float multiply_together(Row row_of[SUMS], uint units, out float sums[SUMS]) {
  const uint lane = gl_LocalInvocationID.x;
  const uint runs = (units + SCALED_UNITS - 1) / SCALED_UNITS;
  const uint share = lane % SHARING;
  const uint begin = runs * share / SHARING * SCALED_UNITS;
  const uint end = min(runs * (share + 1) / SHARING * SCALED_UNITS, units);
  for (uint r = 0; r < SUMS; ++r) sums[r] = 0.0;
  squares = vec4(0.0);
  multiply(row_of, begin, end, false, sums);
  barrier();  // the sums of the rows before have been read
  for (uint r = 0; r < SUMS; ++r) sums_shared[r * gl_WorkGroupSize.x + lane] = sums[r];
  sums_shared[SUMS * gl_WorkGroupSize.x + lane] = sum_of(squares);
  barrier();
  float all_squares = 0.0;
  if (leads()) {
    for (uint r = 0; r < SUMS; ++r) {
      sums[r] = 0.0;
      for (uint i = 0; i < SHARING; ++i) sums[r] += sums_shared[r * gl_WorkGroupSize.x + lane + i];
    }
    for (uint i = 0; i < SHARING; ++i) all_squares += sums_shared[SUMS * gl_WorkGroupSize.x + lane + i];
  }
  return HAS_NORM == 1 ? inversesqrt(all_squares / float(columns) + norm_eps) : 1.0;
}

#endif
