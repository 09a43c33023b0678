// Products whose lanes own weight rows and go along k alone: nothing is summed across lanes, which CPU drivers are slow at.
// Include after weights.glsl (with SCALES_APART) and the constant SUMS, the weight rows of a lane. Rows of x that these are
// multiplied by are one, or the constant X_ROWS where SEVERAL is defined before. The kernel defines fetch_x: some columns of
// those rows of x.
#ifndef HEED_LANES_GLSL
#define HEED_LANES_GLSL
#extension GL_EXT_control_flow_attributes : require

#ifdef SEVERAL
const uint PRODUCTS = SUMS * X_ROWS;
// vec4s of each row of x that are fetched at a time. Those of several rows are many: fewer than a unit's.
const uint PART_VECTORS = X_ROWS == 1 ? UNIT_VECTORS : min(UNIT_VECTORS, 4);
const uint FETCHED = X_ROWS * PART_VECTORS;
#else
#define X_ROWS 1
#define PRODUCTS SUMS
#define PART_VECTORS UNIT_VECTORS
#define FETCHED UNIT_VECTORS
#endif

// xs[t * PART_VECTORS + j] is vec4 number `at` + j of row t of x; `second` says of which multiply().
void fetch_x(uint at, bool second, out vec4 xs[FETCHED]);

float sum_of(vec4 v) { return (v.x + v.y) + (v.z + v.w); }

// Adds the products of those columns of x and weight row r. Code is repeated for each of these where sums must stay in
// registers; a row of x alone has few, and more code than processors keep decoded would run slower.
void add_products(Unit u, vec4 xs[FETCHED], uint part_begin, uint r, inout float sums[PRODUCTS]) {
  vec4 w[PART_VECTORS];
  if (X_ROWS > 1) {
    [[unroll]] for (uint j = 0; j < PART_VECTORS; ++j) w[j] = unit_vector(u, part_begin + j);
  }
  [[unroll]] for (uint t = 0; t < X_ROWS; ++t) {
    vec4 partial = xs[t * PART_VECTORS] * (X_ROWS > 1 ? w[0] : unit_vector(u, part_begin));
    [[unroll]] for (uint j = 1; j < PART_VECTORS; ++j) {
      partial = fma(xs[t * PART_VECTORS + j], X_ROWS > 1 ? w[j] : unit_vector(u, part_begin + j), partial);
    }
#ifdef UNIT_SCALED
    sums[r * X_ROWS + t] = fma(sum_of(partial), u.scale, sums[r * X_ROWS + t]);
#else
    sums[r * X_ROWS + t] += sum_of(partial);
#endif
  }
}

#ifdef QUANTISED
#define SCALES_OF_ROWS Scales scales_of[SUMS],
#define SCALE(u, r, unit) scale_unit(u, scales_of[r], unit)
#else
#define SCALES_OF_ROWS
#define SCALE(u, r, unit)
#endif

// Adds the products of the columns of a unit.
void multiply_unit(Row row_of[SUMS], SCALES_OF_ROWS uint unit, bool second, inout float sums[PRODUCTS]) {
  // All fetches first: CPU drivers call a function for each, and what is alive then is spilled.
  Unit units[SUMS];
  [[unroll]] for (uint r = 0; r < SUMS; ++r) units[r] = load_unit(row_of[r], unit);
  [[unroll]] for (uint part_begin = 0; part_begin < UNIT_VECTORS; part_begin += PART_VECTORS) {
    vec4 xs[FETCHED];
    fetch_x(unit * UNIT_VECTORS + part_begin, second, xs);
    if (X_ROWS == 1) {
      for (uint r = 0; r < SUMS; ++r) {
        SCALE(units[r], r, unit);
        add_products(units[r], xs, part_begin, r, sums);
      }
    } else {
      [[unroll]] for (uint r = 0; r < SUMS; ++r) {
        SCALE(units[r], r, unit);
        add_products(units[r], xs, part_begin, r, sums);
      }
    }
  }
}

// sums[r * X_ROWS + t] += sum_k x[t, k] W[r, k] for the columns of units [begin, end). `second` only goes on to fetch_x.
void multiply(Row row_of[SUMS], uint begin, uint end, bool second, inout float sums[PRODUCTS]) {
#ifdef QUANTISED
  // Loops that end where they are left: lavapipe of Mesa 22.3 goes through the body of one that is left at its head once
  // more, with all lanes masked, which is every fifth to seventeenth time of so short ones.
  if (begin >= end) return;
  uint unit = begin;
  do {
    Scales scales_of[SUMS];
    [[unroll]] for (uint r = 0; r < SUMS; ++r) scales_of[r] = load_scales(row_of[r], unit);
    const uint scaled_end = min((unit / SCALED_UNITS + 1) * SCALED_UNITS, end);
    do {
      multiply_unit(row_of, scales_of, unit, second, sums);
      ++unit;
    } while (unit < scaled_end);
  } while (unit < end);
#else
  for (uint unit = begin; unit < end; ++unit) multiply_unit(row_of, unit, second, sums);
#endif
}

#endif
