#include "ops/linear_kernels.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "graph/integer.h"
#include "graph/quantised.h"
#include "ops/linear.h"
#include "ops/same_reads.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

// Bindings that all lanes read at the same place: x and the norm's weight.
constexpr std::initializer_list<std::size_t> kSameReads = {0, 5};

/// A dispatch and its constants, of which choose_*() fill in what depends on the kernel.
struct Kernel {
  Dispatch dispatch;
  LinearPush push;
  LinearConstants constants;
};

/// Columns of y that the workgroups of a dispatch go over: with experts all of them, whichever of its rows it has.
std::uint32_t columns_of_y(const LinearWork& work) { return work.experts > 0 ? work.width : work.count; }

const ProductTuning& tuning_of(const Lowering& l, const LinearWork& work) { return l.tuning().of(work.dtype); }

/// Whether lanes have weight rows of their own, and the device's loops are long enough for that.
bool fits_lanes(const Lowering& l, const LinearWork& work) {
  return tuning_of(l, work).lane_rows &&
         u64(multiply_iterations(matrix_row_units(work.dtype, work.columns))) <= l.caps().max_loop_iterations;
}

/// Whether such lanes multiply their rows by several of x.
bool fits_lanes_of_several(const Lowering& l, const LinearWork& work) {
  return tuning_of(l, work).x_rows > 1 && fits_lanes(l, work);
}

bool fits_matrix(const Lowering& l, const LinearWork& work) {
  return !work.norm && 2 * u64(matrix_row_units(work.dtype, work.columns)) + 64 <= l.caps().max_loop_iterations;
}

/// Many rows of x: tiles of x rows and output columns in registers.
bool choose_matrix(const Lowering& l, const LinearWork& work, Kernel& kernel) {
  if (work.experts > 0 ? work.tile_rows == 0 : work.rows < kMatrixRows) return false;
  if (!fits_matrix(l, work)) return false;
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_matrix";
  choose_same_reads(l, d, kSameReads, false);
  const std::uint32_t lanes = l.lanes(8);
  const std::uint32_t tile_rows = work.experts > 0 ? work.tile_rows : linear_tile_rows(l, work, work.rows);
  const std::uint32_t row_groups = work.experts > 0 ? work.tiles : ceil_div(work.rows, tile_rows);
  kernel.constants.lanes = lanes;
  kernel.constants.rows = tile_rows;
  kernel.push.share = row_groups;
  d.groups = l.spread(ceil_div(columns_of_y(work), std::uint64_t{lanes} * (work.gate ? 2 : 4)) * row_groups);
  return true;
}

/// Whether a weight is more than a few bits that are scaled with others of its unit.
bool decodes_at_length(DType dtype) {
  const QuantisedType* type = quantised_type(dtype);
  return type != nullptr && (type->minima || type->high_bits > 0 || !type->codebook.empty());
}

/// Lanes have weight rows of their own, which a workgroup multiplies by `x_rows` rows of x.
void choose_lanes(const Lowering& l, const LinearWork& work, std::uint32_t x_rows, Kernel& kernel) {
  const ProductTuning& tuning = tuning_of(l, work);
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_lanes";
  // A norm sums what a lane itself fetches of x.
  const bool hand_on = x_rows > 1 && !work.norm && can_shuffle_rows(work.dtype, l.caps(), l.tuning());
  const std::uint32_t lanes = hand_on ? l.caps().subgroup_size : tuning.lanes;
  choose_same_reads(l, d, kSameReads, hand_on);
  const std::uint32_t row_groups = work.tile_rows > 0 ? work.tiles : ceil_div(work.rows, x_rows);
  std::uint32_t rows = tuning.rows_a_lane(work.width, work.gate, work.head_rows);
  if (x_rows > 1) {
    // Code for a unit of the weight that processors can keep decoded: so many products, of so many weights.
    constexpr std::uint32_t kMostWeights = 256;
    const std::uint32_t weights = u32(unit_columns(work.dtype)) * (work.gate ? 2 : 1);
    // And enough to use what was fetched of x several times, where its rows make enough workgroups without narrow ones.
    constexpr std::uint32_t kFewestColumns = 32;
    if (row_groups >= ProductTuning::kFewestGroups)
      rows = std::max(rows, kFewestColumns / u32(unit_columns(work.dtype)));
    rows = std::clamp(std::min(tuning.x_products / (weights * x_rows), kMostWeights / weights), 1u, rows);
    // Where both are many, decoding counts: about as many instructions a weight, of products two each. 4 rows of x and
    // 8 weight rows of q4_k are more than these, and take 5 % longer than with 4 weight rows on lavapipe 22.3.
    constexpr std::uint32_t kMostInstructions = 3200;
    const std::uint32_t instructions = 2 * x_rows + (decodes_at_length(work.dtype) ? 5 : 4);
    while (rows > 1 && rows * weights * instructions > kMostInstructions) rows /= 2;
  }
  kernel.constants.lanes = lanes;
  kernel.constants.rows = rows;
  kernel.constants.x_rows = x_rows;
  kernel.push.share = row_groups;
  d.groups = l.spread(ceil_div(columns_of_y(work), std::uint64_t{rows} * lanes) * row_groups);
}

/// Few rows of x, the lanes of a workgroup share weight rows and go along k.
void choose_vector(const Lowering& l, const LinearWork& work, Kernel& kernel) {
  const ProductTuning& tuning = tuning_of(l, work);
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_vector";
  d.variant.push_back(l.caps().subgroup_arithmetic ? "1" : "0");
  const std::uint32_t blocks = ceil_div(columns_of_y(work), tuning.rows);
  const std::uint32_t sums = work.gate ? 2 * tuning.rows : tuning.rows;
  const auto iterations = [&](std::uint32_t lanes) {  // of one block
    return 2 + std::uint64_t{kernel.push.row_units} / lanes + sums * (4 + Lowering::reduce_iterations(lanes));
  };
  const std::uint32_t lanes = l.lanes_within_loops(tuning.lanes, iterations);
  const auto per_group = u32(
      std::min<std::uint64_t>(ceil_div(blocks, tuning.max_groups), l.caps().max_loop_iterations / iterations(lanes)));
  kernel.constants.lanes = lanes;
  kernel.constants.rows = tuning.rows;
  kernel.push.share = per_group;
  d.groups = l.spread(std::uint64_t{ceil_div(blocks, per_group)} * work.rows);
}

bool whole_units(DType dtype, std::int64_t columns) { return columns % unit_columns(dtype) == 0; }

}  // namespace

View linear_view(DType dtype, std::int64_t columns) { return whole_units(dtype, columns) ? View::F32x4 : View::F32; }

std::uint32_t linear_tile_rows(const Lowering& l, const LinearWork& work, std::uint64_t rows) {
  if (!fits_lanes_of_several(l, work)) return rows >= 8 ? 8 : 4;
  // Of equal tiles, so that none is nearly empty.
  const std::uint64_t tiles = ceil_div(std::max<std::uint64_t>(rows, 1), std::uint64_t{tuning_of(l, work).x_rows});
  return u32(ceil_div(std::max<std::uint64_t>(rows, 1), tiles));
}

bool fits_tiles(const Lowering& l, const LinearWork& work) {
  return fits_lanes_of_several(l, work) || fits_matrix(l, work);
}

Dispatch linear_dispatch(const Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                         const LinearBindings& bindings) {
  Kernel kernel{.dispatch = {},
                .push = {.rows = work.rows,
                         .columns = work.columns,
                         .row_units = u32(matrix_row_units(work.dtype, work.columns)),
                         .count = work.count,
                         .first = work.first,
                         .width = work.width,
                         .norm_eps = epilogue.norm_eps,
                         .share = 0,
                         .experts = work.experts,
                         .sharers = work.sharers},
                .constants = {.lanes = 0,
                              .rows = 0,
                              .activation = epilogue.activation,
                              .has_bias = epilogue.bias,
                              .has_residual = epilogue.residual,
                              .has_norm = work.norm,
                              .gated = work.gate,
                              .band = bindings.weight.band,
                              .by_expert = work.experts > 0,
                              .x_rows = 1}};
  Dispatch& d = kernel.dispatch;
  // Where many rows have units for matrices, that is what was measured; other kernels are far from it.
  d.product = work.rows < kMatrixRows || !l.tuning().any(&ProductTuning::cooperative);
  d.bindings = {bindings.x,    bindings.weight.words, bindings.weight.scales,
                bindings.bias, bindings.residual,     bindings.norm_weight,
                bindings.y,    bindings.chosen};
  d.variant = {std::string(dtype_name(work.dtype)), whole_units(work.dtype, work.columns) ? "4" : "1"};
  const bool tiles = work.experts > 0 ? work.tile_rows > 0 : work.rows > 1;
  if (tiles && fits_lanes_of_several(l, work)) {
    choose_lanes(l, work, work.experts > 0 ? work.tile_rows : linear_tile_rows(l, work, work.rows), kernel);
  } else if (choose_matrix(l, work, kernel)) {
  } else if (fits_lanes(l, work)) {
    choose_lanes(l, work, 1, kernel);
  } else {
    choose_vector(l, work, kernel);
  }
  d.push_constants = words_of(kernel.push);
  d.specialization = words_of(kernel.constants);
  return d;
}

}  // namespace heed::ops
