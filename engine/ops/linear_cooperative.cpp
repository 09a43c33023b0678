#include "ops/linear_cooperative.h"

#include <algorithm>
#include <bit>
#include <string>

#include "constants/linear_cooperative.h"
#include "graph/integer.h"
#include "graph/quantised.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

using Fits = std::function<bool(const CooperativeShape&)>;

constexpr std::uint32_t kStep = 32;       // columns of x that a workgroup takes at a time
constexpr std::uint32_t kWordHalves = 8;  // in 16 bytes
constexpr std::uint32_t kMostSubgroups = 8;
constexpr std::uint32_t kMostMatrices = 32;  // of sums, of a subgroup
constexpr std::uint32_t kMostWords = 192;    // of a lane; AMD's GPUs have 256, the compilers of others are not known

/// What comes with the weights of a step: f32 numbers for each group of columns.
struct Groups {
  std::uint32_t columns = kStep;
  std::uint32_t in_step = 0;
  bool minima = false;
};

/// Whether rows are scaled step by step, since they may hold more than f16 does.
bool scaled_here(DType dtype) { return dtype == DType::F32 || dtype == DType::BF16; }

std::uint32_t halves_of_weights(DType dtype, std::uint32_t halves_of_x) {
  return dtype == DType::F32 ? halves_of_x : 1;
}

Groups groups_of(DType dtype) {
  if (const QuantisedType* type = quantised_type(dtype)) return {type->group, kStep / type->group, type->minima};
  return {.columns = kStep, .in_step = scaled_here(dtype) ? 1u : 0u, .minima = false};
}

/// Bytes of shared memory: rows of a step and 8 halves more, numbers of its groups, and what subgroups lay out of their
/// sums.
std::uint64_t shared_bytes(const CooperativeShape& s, DType dtype, std::uint32_t halves) {
  const Groups groups = groups_of(dtype);
  const std::uint64_t rows =
      std::uint64_t{halves} * s.rows() + std::uint64_t{halves_of_weights(dtype, halves)} * s.columns();
  const std::uint64_t numbers = groups.minima ? std::uint64_t{2} * s.columns() + s.rows() : s.columns();
  return rows * (kStep + 8) * 2 + groups.in_step * numbers * 4 +
         std::uint64_t{s.subgroups()} * s.matrix[0] * s.matrix[1] * 4;
}

std::optional<CooperativeShape> shape_of(const std::array<std::uint32_t, 3>& matrix, const DeviceCaps& caps,
                                         std::uint32_t rows, std::uint32_t columns, std::uint32_t most_k,
                                         const Fits& fits) {
  const auto [m, n, k] = matrix;
  const bool powers = std::has_single_bit(m) && std::has_single_bit(n) && std::has_single_bit(k);
  if (!powers || k > most_k || k % 4 != 0 || 2 * n > columns) return std::nullopt;
  CooperativeShape s = {.matrix = matrix, .matrix_columns = 2};
  const std::uint32_t down = std::max(1u, rows / m);
  s.matrix_rows = std::min(down, 4u);
  s.subgroups_down = down / s.matrix_rows;
  s.subgroups_across = columns / n / s.matrix_columns;
  const std::uint32_t most_lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], kMostCooperativeLanes});
  const std::uint32_t most = std::min(kMostSubgroups, most_lanes / caps.subgroup_size);
  while (s.subgroups() > most) {
    if (s.subgroups_across > 1) {
      s.subgroups_across /= 2;
      s.matrix_columns *= 2;
    } else if (s.subgroups_down > 1) {
      s.subgroups_down /= 2;
      s.matrix_rows *= 2;
    } else {
      return std::nullopt;
    }
  }
  if (s.matrix_rows * s.matrix_columns > kMostMatrices || !fits(s)) return std::nullopt;
  return s;
}

/// Words that a lane holds of sums, and of matrices of weights and of x for a group of columns. Of a matrix of f16 it
/// may have a whole row, as on RDNA 3.
std::uint64_t words_of_lane(const CooperativeShape& s, DType dtype, std::uint32_t halves, std::uint32_t subgroup) {
  const std::uint32_t sums = s.matrix_rows * s.matrix_columns * s.matrix[0] * s.matrix[1] / subgroup;
  const std::uint32_t columns = dtype == DType::F16 ? s.matrix[2] : groups_of(dtype).columns;
  return sums + std::uint64_t{halves_of_weights(dtype, halves) * s.matrix_columns + halves} * columns / 2;
}

Fits fits_linear(const DeviceCaps& caps, DType dtype, std::uint32_t halves) {
  return [&caps, dtype, halves](const CooperativeShape& s) {
    return shared_bytes(s, dtype, halves) <= caps.max_shared_memory &&
           words_of_lane(s, dtype, halves, caps.subgroup_size) <= kMostWords;
  };
}

}  // namespace

std::optional<CooperativeShape> cooperative_shape(const std::array<std::uint32_t, 3>& matrix, const DeviceCaps& caps,
                                                  std::uint32_t rows, std::uint32_t columns, std::uint32_t most_k,
                                                  const Fits& fits) {
  // Smaller tiles where there is no room.
  std::optional<CooperativeShape> s;
  while (!(s = shape_of(matrix, caps, rows, columns, most_k, fits))) {
    const bool narrow = columns < 4 * matrix[1];
    if (narrow && rows <= matrix[0]) break;
    (narrow || rows > columns ? rows : columns) /= 2;
  }
  return s;
}

std::optional<CooperativeShape> cooperative_shape(const DeviceCaps& caps, std::uint32_t rows, std::uint32_t columns,
                                                  std::uint32_t most_k, const Fits& fits) {
  std::optional<CooperativeShape> best;
  for (const std::array<std::uint32_t, 3>& matrix : caps.cooperative_sizes) {
    // Of several sizes the largest does most for what it loads.
    const std::optional<CooperativeShape> s = cooperative_shape(matrix, caps, rows, columns, most_k, fits);
    const auto size = [](const CooperativeShape& c) { return c.matrix[0] * c.matrix[1] * c.matrix[2]; };
    if (s && (!best || size(*s) > size(*best))) best = s;
  }
  return best;
}

std::optional<CooperativeShape> cooperative_shape(const std::array<std::uint32_t, 3>& matrix, const DeviceCaps& caps,
                                                  std::uint32_t rows, std::uint32_t columns, DType dtype,
                                                  std::uint32_t halves) {
  return cooperative_shape(matrix, caps, rows, columns, groups_of(dtype).columns, fits_linear(caps, dtype, halves));
}

std::optional<CooperativeShape> cooperative_shape(const DeviceCaps& caps, std::uint32_t rows, std::uint32_t columns,
                                                  DType dtype, std::uint32_t halves) {
  return cooperative_shape(caps, rows, columns, groups_of(dtype).columns, fits_linear(caps, dtype, halves));
}

bool emit_linear_cooperative(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                             const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes) {
  const DeviceCaps& caps = l.caps();
  const ProductTuning& tuning = l.tuning().of(work.dtype);
  if (!tuning.cooperative || work.experts > 0) return false;
  // Lanes side by side, which hold a unit each, agree on how a step's weights are scaled.
  if (scaled_here(work.dtype) && (!caps.subgroup_shuffle || caps.subgroup_size < kStep / unit_columns(work.dtype))) {
    return false;
  }
  const std::uint32_t tile = tuning.tile;
  const std::uint32_t gate = work.gate ? 2 : 1;
  std::uint32_t columns = tile;
  // The matrix of full tiles, whatever the number of rows: what a row gives must not depend on it.
  const std::optional<CooperativeShape> full = cooperative_shape(caps, tile, tile, work.dtype, work.halves);
  if (!full) return false;
  const auto shape_for = [&] {
    return cooperative_shape(full->matrix, caps, std::bit_ceil(std::min(work.rows, tile)), columns, work.dtype,
                             work.halves);
  };
  std::optional<CooperativeShape> shape = shape_for();
  if (!shape) return false;
  const std::uint32_t steps = ceil_div(work.columns, kStep);
  const std::uint32_t part_steps = ceil_div(steps, parts_of_sums(tuning, work.columns, work.width, work.gate));
  const std::uint32_t parts = ceil_div(steps, part_steps);
  // Each of a step's fetches, and of its matrices, may be a round of a loop.
  if (std::uint64_t{part_steps} * 64 > caps.max_loop_iterations) return false;
  const std::uint32_t x_words = steps * (kStep / kWordHalves);
  const std::uint32_t row_lanes = l.lanes_of_row(x_words);
  const std::uint64_t words_a_lane = ceil_div(x_words, row_lanes);
  if (words_a_lane * 24 + Lowering::reduce_iterations(row_lanes) > caps.max_loop_iterations) return false;
  const std::uint64_t halves_bytes = std::uint64_t{work.halves} * work.rows * x_words * 16;
  if (halves_bytes > caps.largest_binding()) return false;
  const auto groups = [&] {
    return ceil_div(work.rows, shape->rows()) * ceil_div(work.count * std::uint64_t{gate}, shape->columns()) * parts;
  };
  while (columns > 32 && groups() < tuning.tile_groups) {
    columns = shape->columns() / 2;
    const std::optional<CooperativeShape> narrower = shape_for();
    if (!narrower) break;
    shape = narrower;
  }

  Binding halves = l.scratch("halves", halves_bytes);
  Binding scales = l.scratch("scales", std::uint64_t{work.rows} * 4);
  const bool minima = groups_of(work.dtype).minima;
  Binding x_sums = minima ? l.scratch("sums of x", std::uint64_t{work.rows} * x_words * 4) : scales;
  halves.access = scales.access = x_sums.access = Access::Write;
  {
    Dispatch d;
    d.shader = "linear_halves";
    d.variant = {bindings.x.view == View::F32x4 ? "4" : "1", caps.subgroup_arithmetic ? "1" : "0"};
    d.bindings = {bindings.x, halves, scales, x_sums};
    d.push_constants = {work.rows, work.columns, x_words};
    d.specialization = {row_lanes, work.halves, minima ? 1u : 0u};
    d.groups = l.spread(work.rows);
    l.emit(std::move(d));
  }
  halves.access = scales.access = x_sums.access = Access::Read;
  halves.view = View::U32x4;
  scales.view = View::F32;
  x_sums.view = View::F32x4;
  const Binding sums = sums_of(l, work, parts, bindings.y);
  Dispatch d;
  d.shader = "linear_cooperative";
  d.product = true;
  d.variant = {std::string(dtype_name(work.dtype))};
  d.storage_only = true;
  d.bindings = {halves, bindings.weight.words, bindings.weight.scales, bindings.bias, bindings.residual, scales, sums};
  if (minima) d.bindings.push_back(x_sums);
  d.push_constants = words_of(LinearCooperativePush{.rows = work.rows,
                                                    .x_words = x_words,
                                                    .row_units = u32(matrix_row_units(work.dtype, work.columns)),
                                                    .count = work.count,
                                                    .first = work.first,
                                                    .width = work.width,
                                                    .row_tiles = ceil_div(work.rows, shape->rows()),
                                                    .parts = parts,
                                                    .part_steps = part_steps});
  const std::uint32_t lanes = shape->subgroups() * caps.subgroup_size;
  const auto unit = u32(unit_columns(work.dtype));
  // Of shorter units there is one for each lane.
  const std::uint32_t unit_lanes =
      quantised_type(work.dtype) == nullptr ? 1 : std::clamp(lanes / (shape->columns() * (kStep / unit)), 1u, unit / 4);
  d.specialization = words_of(LinearCooperativeConstants{.lanes = lanes,
                                                         .m = shape->matrix[0],
                                                         .n = shape->matrix[1],
                                                         .k = shape->matrix[2],
                                                         .subgroup_size = caps.subgroup_size,
                                                         .subgroups_down = shape->subgroups_down,
                                                         .subgroups_across = shape->subgroups_across,
                                                         .matrix_rows = shape->matrix_rows,
                                                         .matrix_columns = shape->matrix_columns,
                                                         .activation = epilogue.activation,
                                                         .has_bias = epilogue.bias,
                                                         .has_residual = epilogue.residual,
                                                         .gated = work.gate,
                                                         .band = bindings.weight.band,
                                                         .in_parts = parts > 1,
                                                         .unit_lanes = unit_lanes,
                                                         .halves = work.halves});
  d.subgroup_size = caps.subgroup_size;
  d.groups = l.spread(groups());
  d.flops = flops;
  d.bytes = bytes;
  l.emit(std::move(d));
  if (parts > 1) emit_sum_of_parts(l, work, epilogue, bindings, sums, parts);
  return true;
}

}  // namespace heed::ops
