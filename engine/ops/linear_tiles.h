#pragma once

#include <cstdint>
#include <optional>

#include "ops/linear_kernels.h"

/// Products of many rows in tiles of shared memory (shaders/linear_tiles.comp), where the tuner found them faster.
namespace heed::ops {

/// How a product is cut into workgroups, and a workgroup's tile of y into lanes.
struct TileShape {
  std::uint32_t rows = 0;     // of x
  std::uint32_t columns = 0;  // rows of the weight: columns of y, or half of them where there is a gate
  std::uint32_t lane_rows = 0;
  std::uint32_t lane_columns = 0;
  std::uint32_t lanes() const { return rows / lane_rows * (columns / lane_columns); }
};

/// The tile for so many rows of x, as large as `tile` (ProductTuning::tile, Tuning::conv_tile) and the device's shared
/// memory and workgroups allow. What a row gives does not depend on it. Nothing where tiles are off or do not fit.
std::optional<TileShape> tile_shape(const DeviceCaps& caps, std::uint32_t tile, std::uint64_t rows);

/// Parts that the sums of a product are cut into, so that narrow products are work for a whole device: a matter of the
/// weight alone, not of the number of rows, on which no row's sums may depend. 1: none.
std::uint32_t parts_of_sums(const ProductTuning& tuning, std::int64_t columns, std::int64_t width, bool gate);

/// Whether work of a linear or expert_linear node runs in tiles, which linear_dispatch() knows nothing of.
bool runs_in_tiles(const Lowering& l, const LinearWork& work);

/// Rows of x that a tile of an expert has, where expert_linear's sorted rows run so.
std::optional<std::uint32_t> tile_of_experts(const Lowering& l, const LinearWork& work);

/// Appends the dispatches of work that does: one, or two where sums come in parts. `flops` and `bytes` are the work's.
void emit_linear_tiles(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                       const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes);

// For kernels whose workgroups have parts of sums.

/// Where they write: y, or memory for emit_sum_of_parts().
Binding sums_of(Lowering& l, const LinearWork& work, std::uint32_t parts, const Binding& y);
/// Makes y of the parts.
void emit_sum_of_parts(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                       const LinearBindings& bindings, Binding sums, std::uint32_t parts);

}  // namespace heed::ops
