// Products whose lanes own weight rows and go along k alone: nothing is summed across lanes, which CPU drivers are slow at.
// Include after weights.glsl (with SCALES_APART) and the constant SUMS, the weight rows of a lane. The kernel defines
// fetch_x: columns of x that a unit of all those rows is multiplied by.
#ifndef HEED_LANES_GLSL
#define HEED_LANES_GLSL

void fetch_x(uint unit, bool second, out vec4 xs[UNIT_VECTORS]);

float sum_of(vec4 v) { return (v.x + v.y) + (v.z + v.w); }

// sums[r] += sum_k x[k] W[r, k] for the columns of units [begin, end). `second` only goes on to fetch_x.
void multiply(Row row_of[SUMS], uint begin, uint end, bool second, inout float sums[SUMS]) {
  for (uint part = begin; part < end; part = (part / SCALED_UNITS + 1) * SCALED_UNITS) {
#ifdef QUANTISED
    Scales scales_of[SUMS];
    for (uint r = 0; r < SUMS; ++r) scales_of[r] = load_scales(row_of[r], part);
    const uint part_end = min((part / SCALED_UNITS + 1) * SCALED_UNITS, end);
    for (uint unit = part; unit < part_end; ++unit) {
#else
    const uint unit = part;
    {
#endif
      // All fetches first: CPU drivers call a function for each, and what is alive then is spilled.
      Unit units[SUMS];
      for (uint r = 0; r < SUMS; ++r) units[r] = load_unit(row_of[r], unit);
      vec4 xs[UNIT_VECTORS];
      fetch_x(unit, second, xs);
      for (uint r = 0; r < SUMS; ++r) {
        Unit u = units[r];
#ifdef QUANTISED
        scale_unit(u, scales_of[r], unit);
#endif
        vec4 partial = xs[0] * unit_vector(u, 0);
        for (uint j = 1; j < UNIT_VECTORS; ++j) partial = fma(xs[j], unit_vector(u, j), partial);
#ifdef UNIT_SCALED
        sums[r] = fma(sum_of(partial), u.scale, sums[r]);
#else
        sums[r] += sum_of(partial);
#endif
      }
    }
  }
}

#endif
