#include "ops/linear_kernels.h"

#include <algorithm>
#include <string>

#include "graph/integer.h"
#include "ops/linear.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

// Bindings of all its kernels that are looked at here.
enum : std::size_t { kX = 0, kNormWeight = 5 };

/// A dispatch and its constants, of which choose_*() fill in what depends on the kernel.
struct Kernel {
  Dispatch dispatch;
  LinearPush push;
  LinearConstants constants;
};

/// Columns of y that the workgroups of a dispatch go over: with experts all of them, whichever of its rows it has.
std::uint32_t columns_of_y(const LinearWork& work) { return work.experts > 0 ? work.width : work.count; }

/// Lets a kernel read what all lanes need at the same place as the tuner found best.
void choose_same(const Lowering& l, Dispatch& d) {
  const bool storage = l.tuning().texel && l.tuning().same_storage;
  d.variant.push_back(storage ? "storage" : "read");
  if (storage) d.bindings[kX].view = d.bindings[kNormWeight].view = View::None;
}

/// Many rows of x: tiles of x rows and output columns in registers.
bool choose_matrix(const Lowering& l, const LinearWork& work, Kernel& kernel) {
  if (work.experts > 0 ? work.tile_rows == 0 : work.rows < kMatrixRows) return false;
  if (!fits_linear_matrix(l, work)) return false;
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_matrix";
  const bool hand_on = can_shuffle_rows(l.caps(), l.tuning());
  const std::uint32_t lanes = hand_on ? l.caps().subgroup_size : l.lanes(8);
  if (hand_on) {
    d.variant.push_back("shuffle");
  } else {
    choose_same(l, d);
  }
  const std::uint32_t tile_rows = work.experts > 0 ? work.tile_rows : linear_tile_rows(l, work.rows);
  const std::uint32_t row_groups = work.experts > 0 ? work.tiles : ceil_div(work.rows, tile_rows);
  kernel.constants.lanes = lanes;
  kernel.constants.rows = tile_rows;
  kernel.push.share = row_groups;
  d.groups = l.spread(ceil_div(columns_of_y(work), std::uint64_t{lanes} * (work.gate ? 2 : 4)) * row_groups);
  return true;
}

/// Few rows of x, a lane has weight rows of its own. False where the device's loops are too short for that.
bool choose_lanes(const Lowering& l, const LinearWork& work, Kernel& kernel) {
  const Tuning& tuning = l.tuning();
  if (!tuning.lane_rows || 2 * std::uint64_t{kernel.push.row_units} + 128 > l.caps().max_loop_iterations) return false;
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_lanes";
  choose_same(l, d);
  const std::uint32_t rows = tuning.rows_a_lane(work.width, work.gate, work.head_rows);
  const std::uint32_t blocks = u32(ceil_div(columns_of_y(work), std::uint64_t{rows} * tuning.lanes));
  kernel.constants.lanes = tuning.lanes;
  kernel.constants.rows = rows;
  kernel.push.share = blocks;
  d.groups = l.spread(std::uint64_t{blocks} * work.rows);
  return true;
}

/// Few rows of x, the lanes of a workgroup share weight rows and go along k.
void choose_vector(const Lowering& l, const LinearWork& work, Kernel& kernel) {
  const Tuning& tuning = l.tuning();
  Dispatch& d = kernel.dispatch;
  d.shader = "linear_vector";
  d.variant.push_back(l.caps().subgroup_arithmetic ? "1" : "0");
  const std::uint32_t blocks = ceil_div(columns_of_y(work), tuning.rows);
  const std::uint32_t limit = std::min(tuning.max_groups, l.caps().max_workgroup_count[0]);
  const std::uint32_t sums = work.gate ? 2 * tuning.rows : tuning.rows;
  const auto iterations = [&](std::uint32_t lanes) {  // of one block
    return 2 + std::uint64_t{kernel.push.row_units} / lanes + sums * (4 + Lowering::reduce_iterations(lanes));
  };
  const std::uint32_t lanes = l.lanes_within_loops(tuning.lanes, iterations);
  const auto per_group =
      u32(std::min<std::uint64_t>(ceil_div(blocks, limit), l.caps().max_loop_iterations / iterations(lanes)));
  kernel.constants.lanes = lanes;
  kernel.constants.rows = tuning.rows;
  kernel.push.share = per_group;
  d.groups = {ceil_div(blocks, per_group), work.rows, 1};
}

bool whole_units(DType dtype, std::int64_t columns) { return columns % unit_columns(dtype) == 0; }

}  // namespace

View linear_view(DType dtype, std::int64_t columns) { return whole_units(dtype, columns) ? View::F32x4 : View::F32; }

std::uint32_t linear_tile_rows(const Lowering& l, std::uint64_t rows) {
  return can_shuffle_rows(l.caps(), l.tuning()) && rows >= 16 ? 16 : rows >= 8 ? 8 : 4;
}

bool fits_linear_matrix(const Lowering& l, const LinearWork& work) {
  return !work.norm && 2 * u64(matrix_row_units(work.dtype, work.columns)) + 64 <= l.caps().max_loop_iterations;
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
                              .by_expert = work.experts > 0}};
  Dispatch& d = kernel.dispatch;
  d.bindings = {bindings.x,    bindings.weight.words, bindings.weight.scales,
                bindings.bias, bindings.residual,     bindings.norm_weight,
                bindings.y,    bindings.chosen};
  d.variant = {std::string(dtype_name(work.dtype)), whole_units(work.dtype, work.columns) ? "4" : "1"};
  if (!choose_matrix(l, work, kernel) && !choose_lanes(l, work, kernel)) choose_vector(l, work, kernel);
  d.push_constants = words_of(kernel.push);
  d.specialization = words_of(kernel.constants);
  return d;
}

}  // namespace heed::ops
