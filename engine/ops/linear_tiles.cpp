#include "ops/linear_tiles.h"

#include <algorithm>
#include <bit>
#include <string>

#include "constants/linear_parts.h"
#include "constants/linear_tiles.h"
#include "graph/integer.h"
#include "ops/linear_cooperative.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

constexpr std::uint32_t kStep = 32;  // columns of x that a workgroup takes at a time: STEP of tiles.glsl
constexpr std::uint32_t kLeastTile = 32;
constexpr std::uint32_t kLeastRows = 8;
constexpr std::uint32_t kFewLanes = 64;  // a subgroup of the widest
constexpr std::uint32_t kMostParts = 8;
constexpr std::int64_t kLeastPart = 512;  // columns of x

/// Bytes of shared memory of both tiles.
std::uint64_t shared_bytes(const TileShape& shape) { return (std::uint64_t{shape.rows} + shape.columns) * kStep * 4; }

std::uint32_t steps_of(const LinearWork& work) { return ceil_div(work.columns, kStep); }

/// Where a kernel's loops end after so many iterations, those of a step's columns count too.
bool fits_loops(const DeviceCaps& caps, std::uint32_t steps) {
  constexpr std::uint64_t kIterationsOfAStep = kStep / 4 + 2;
  return steps * kIterationsOfAStep + 256 <= caps.max_loop_iterations;
}

std::uint32_t parts_of(const Lowering& l, const LinearWork& work) {
  // Tiles of experts are many, and their rows lie apart.
  if (work.experts > 0) return 1;
  return parts_of_sums(l.tuning().of(work.dtype), work.columns, work.width, work.gate);
}

}  // namespace

std::optional<TileShape> tile_shape(const DeviceCaps& caps, std::uint32_t tile, std::uint64_t rows) {
  if (tile < kLeastTile || rows == 0) return std::nullopt;
  const std::uint32_t most_lanes = std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], 256u});
  const auto wanted = std::bit_ceil(std::min<std::uint64_t>(rows, tile));
  TileShape shape = {.rows = std::max(kLeastRows, static_cast<std::uint32_t>(wanted)), .columns = tile};
  const auto too_large = [&] {
    // 64 sums a lane are as many as its registers hold.
    return shared_bytes(shape) > caps.max_shared_memory ||
           std::uint64_t{shape.rows} * shape.columns > std::uint64_t{64} * most_lanes;
  };
  while (too_large()) {
    std::uint32_t& side = shape.rows > shape.columns ? shape.rows : shape.columns;
    if (side <= kLeastRows) return std::nullopt;
    side /= 2;
  }
  if (shape.columns < kLeastTile) return std::nullopt;
  // Large tiles read least for their flops with 8x8 sums a lane; small ones should have lanes enough.
  const std::uint32_t elements = shape.rows * shape.columns;
  const std::uint32_t sums = elements >= 128 * 128 || elements / 32 > most_lanes ? 64 : elements >= 64 * 32 ? 32 : 16;
  shape.lane_columns = sums == 64 ? 8 : 4;
  if (shape.columns / shape.lane_columns < 8) shape.lane_columns = shape.columns / 8;
  shape.lane_rows = std::max(1u, sums / shape.lane_columns);
  while (shape.lanes() < kFewLanes && shape.lane_rows > 1) shape.lane_rows /= 2;
  return shape.lanes() <= most_lanes ? std::optional<TileShape>(shape) : std::nullopt;
}

std::uint32_t parts_of_sums(const ProductTuning& tuning, std::int64_t columns, std::int64_t width, bool gate) {
  // As if rows were few: then tiles are narrow, and there is one of them for each of these columns.
  constexpr std::int64_t kNarrow = 64;
  std::uint32_t parts = 1;
  while (parts < kMostParts && ceil_div(width * (gate ? 2 : 1), kNarrow) * parts < tuning.tile_groups &&
         columns >= std::int64_t{2} * parts * kLeastPart) {
    parts *= 2;
  }
  return parts;
}

bool runs_in_tiles(const Lowering& l, const LinearWork& work) {
  if (work.experts > 0 ? work.tile_rows == 0 : work.rows < kMatrixRows) return false;
  if (work.norm || !fits_loops(l.caps(), ceil_div(steps_of(work), parts_of(l, work)))) return false;
  if (work.experts > 0) return tile_of_experts(l, work) == work.tile_rows;
  return tile_shape(l.caps(), l.tuning().of(work.dtype).tile, work.rows).has_value();
}

std::optional<std::uint32_t> tile_of_experts(const Lowering& l, const LinearWork& work) {
  if (work.norm || !fits_loops(l.caps(), steps_of(work))) return std::nullopt;
  const std::uint64_t rows = work.tile_rows > 0 ? work.tile_rows : std::max(1u, work.rows / work.experts);
  const std::optional<TileShape> shape = tile_shape(l.caps(), l.tuning().of(work.dtype).tile, rows);
  return shape ? std::optional(shape->rows) : std::nullopt;
}

Binding sums_of(Lowering& l, const LinearWork& work, std::uint32_t parts, const Binding& y) {
  if (parts == 1) return y;
  const std::uint64_t elements = saturating_product({parts, work.rows, work.count, work.gate ? 2u : 1u});
  if (elements > UINT32_MAX) l.fail("has more than 2^32 parts of sums");
  Binding sums = l.scratch("parts", elements * 4);
  sums.access = Access::Write;
  return sums;
}

void emit_sum_of_parts(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                       const LinearBindings& bindings, Binding sums, std::uint32_t parts) {
  sums.access = Access::Read;
  sums.view = View::F32;
  const LinearPartsConstants constants = {.lanes = l.lanes(64),
                                          .activation = epilogue.activation,
                                          .has_bias = epilogue.bias,
                                          .has_residual = epilogue.residual,
                                          .gated = work.gate};
  Dispatch d;
  d.shader = "linear_parts";
  d.bindings = {bindings.x, bindings.x, bindings.x, bindings.bias, bindings.residual, sums, bindings.y};
  d.push_constants = words_of(LinearPartsPush{
      .rows = work.rows, .count = work.count, .first = work.first, .width = work.width, .parts = parts});
  d.specialization = words_of(constants);
  d.groups = l.spread(ceil_div(std::uint64_t{work.rows} * work.count, constants.lanes));
  d.flops = std::uint64_t{parts} * (work.gate ? 2 : 1) * work.rows * work.count;
  l.emit(std::move(d));
}

void emit_linear_tiles(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                       const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes) {
  if (emit_linear_cooperative(l, work, epilogue, bindings, flops, bytes)) return;
  const bool by_expert = work.experts > 0;
  TileShape shape = *tile_shape(l.caps(), l.tuning().of(work.dtype).tile, by_expert ? work.tile_rows : work.rows);
  const std::uint32_t row_tiles = by_expert ? work.tiles : ceil_div(work.rows, shape.rows);
  const std::uint32_t steps = steps_of(work);
  const std::uint32_t part_steps = ceil_div(steps, parts_of(l, work));
  const std::uint32_t parts = ceil_div(steps, part_steps);
  const std::uint32_t gate = work.gate ? 2 : 1;
  const std::uint32_t columns = by_expert ? work.width : work.count;
  const auto column_tiles = [&] { return ceil_div(columns * std::uint64_t{gate}, shape.columns); };
  // Of wide tiles there may be fewer than the device has cores.
  while (shape.columns > kLeastTile && shape.columns / 2 >= 8 * shape.lane_columns &&
         column_tiles() * row_tiles * parts < l.tuning().of(work.dtype).tile_groups) {
    shape.columns /= 2;
  }

  const LinearTilesPush push = {.rows = work.rows,
                                .columns = work.columns,
                                .row_units = u32(matrix_row_units(work.dtype, work.columns)),
                                .count = work.count,
                                .first = work.first,
                                .width = work.width,
                                .experts = work.experts,
                                .sharers = work.sharers,
                                .row_tiles = row_tiles,
                                .parts = parts,
                                .part_steps = part_steps};
  const auto unit = u32(unit_columns(work.dtype));
  const std::uint32_t units = shape.columns * (kStep / unit);
  const LinearTilesConstants constants = {.lanes = shape.lanes(),
                                          .tile_rows = shape.rows,
                                          .tile_columns = shape.columns,
                                          .lane_rows = shape.lane_rows,
                                          .lane_columns = shape.lane_columns,
                                          .activation = epilogue.activation,
                                          .has_bias = epilogue.bias,
                                          .has_residual = epilogue.residual,
                                          .gated = work.gate,
                                          .band = bindings.weight.band,
                                          .by_expert = by_expert,
                                          .in_parts = parts > 1,
                                          .unit_lanes = std::clamp(shape.lanes() / units, 1u, unit / 4)};
  const Binding sums = sums_of(l, work, parts, bindings.y);
  Dispatch d;
  d.shader = "linear_tiles";
  d.product = !l.tuning().any(&ProductTuning::cooperative);
  d.variant = {std::string(dtype_name(work.dtype)), work.columns % unit == 0 ? "4" : "1"};
  d.bindings = {bindings.x, bindings.weight.words, bindings.weight.scales, bindings.bias, bindings.residual, bindings.x,
                sums,       bindings.chosen};
  d.push_constants = words_of(push);
  d.specialization = words_of(constants);
  d.groups = l.spread(column_tiles() * row_tiles * parts);
  d.flops = flops;
  d.bytes = bytes;
  l.emit(std::move(d));
  if (parts > 1) emit_sum_of_parts(l, work, epilogue, bindings, sums, parts);
}

}  // namespace heed::ops
