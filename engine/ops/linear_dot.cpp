#include "ops/linear_dot.h"

#include <algorithm>
#include <string>

#include "constants/linear_bytes.h"
#include "constants/linear_dot.h"
#include "graph/integer.h"
#include "graph/quantised.h"
#include "plan/weight_layout.h"

namespace heed::ops {
namespace {

constexpr std::uint32_t kLanes = 128;
constexpr std::uint32_t kMostSubgroups = 8;
// Rows of weights, partners counted, of a subgroup at a time; and where three rows of x or more share them: then GPUs
// that make a dot product of other instructions run out of registers before.
constexpr std::uint32_t kMostRows = 4;
constexpr std::uint32_t kMostSharedRows = 2;
constexpr std::uint32_t kMostSums = kMostSharedRows * kDotRows;
constexpr std::uint32_t kWordBytes = 16;  // and elements of x in a word

/// How a product is shared by lanes.
struct DotShape {
  std::uint32_t lanes = 0;
  std::uint32_t rows = 0;    // of weights, of a subgroup
  std::uint32_t groups = 0;  // workgroups
};

/// Rows are as few as make enough workgroups of narrow products. What a row of x gives does not depend on any of it.
DotShape shape_of(const Lowering& l, const LinearWork& work) {
  const DeviceCaps& caps = l.caps();
  const std::uint32_t most_lanes = std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], kLanes});
  const std::uint32_t subgroups = std::clamp(most_lanes / caps.subgroup_size, 1u, kMostSubgroups);
  const std::uint32_t gate = work.gate ? 2 : 1;
  const ProductTuning& tuning = l.tuning().of(work.dtype);
  const bool few = work.rows > 1 && tuning.few_dot_groups > 0;
  const std::uint32_t wanted = std::min(few ? tuning.few_dot_groups : tuning.dot_groups, caps.max_workgroup_count[0]);
  std::uint32_t rows = (work.rows > 2 ? kMostSharedRows : kMostRows) / gate;
  const auto blocks = [&] { return ceil_div(work.count, rows * subgroups); };
  while (rows > 1 && blocks() < wanted) rows /= 2;
  return {subgroups * caps.subgroup_size, rows, std::min(blocks(), wanted)};
}

/// Columns of x that share a step.
std::uint32_t block_of(const LinearWork& work) { return quantised_type(work.dtype)->group; }

std::uint64_t blocks_bytes(const LinearWork& work) { return std::uint64_t{work.columns} / block_of(work) * 8; }

/// Whether each workgroup makes bytes of x by itself.
bool fits_shared(const Lowering& l, const LinearWork& work, const DotShape& shape) {
  const std::uint64_t sums = std::uint64_t{shape.lanes} * 4;  // of workgroup_sum()
  return work.rows == 1 && std::uint64_t{2} * work.columns + blocks_bytes(work) + sums <= l.caps().max_shared_memory;
}

}  // namespace

bool runs_in_dots(const Lowering& l, const LinearWork& work) {
  const DeviceCaps& caps = l.caps();
  const bool can = caps.integer_dot_product && caps.subgroup_arithmetic && caps.subgroup_shuffle;
  if (!can || l.tuning().of(work.dtype).dot_groups == 0 || quantised_type(work.dtype) == nullptr || work.experts > 0)
    return false;
  const std::uint32_t rows = std::max(work.rows, work.most_rows);
  if (rows >= kMatrixRows && (work.most_rows == 0 || rows > kDotRows)) return false;
  if (caps.subgroup_size < 4 ||
      caps.subgroup_size > std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0])) {
    return false;
  }
  const DotShape shape = shape_of(l, work);
  if (work.norm && !fits_shared(l, work, shape)) return false;
  // Loops over units may be run as they are written, those within them are not.
  const std::uint64_t rounds = ceil_div(matrix_row_units(work.dtype, work.columns), std::int64_t{caps.subgroup_size});
  const std::uint64_t passes =
      ceil_div(ceil_div(work.count, shape.rows * (shape.lanes / caps.subgroup_size)), shape.groups);
  constexpr std::uint64_t kOfAPass = 2 * kMostSums + 8, kOfARound = 2 * kMostSums;
  return passes * (rounds * kOfARound + kOfAPass) + work.columns / 4 <= caps.max_loop_iterations;
}

void emit_linear_dot(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                     const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes) {
  const std::uint32_t subgroup = l.caps().subgroup_size;
  const DotShape shape = shape_of(l, work);
  const std::uint32_t x_words = work.columns / kWordBytes;
  const bool shared = fits_shared(l, work, shape);
  Binding x = bindings.x;
  Binding beside = bindings.norm_weight;
  if (!shared) {
    x = l.scratch("bytes", std::uint64_t{2} * work.rows * work.columns);
    beside = l.scratch("steps", work.rows * blocks_bytes(work));
    x.access = beside.access = Access::Write;
    const LinearBytesConstants constants = {.lanes = shape.lanes,
                                            .subgroup_size = subgroup,
                                            .x_block = block_of(work),
                                            .x_parts = u32(unit_columns(work.dtype)) / kWordBytes};
    Dispatch d;
    d.shader = "linear_bytes";
    d.bindings = {bindings.x, x, beside};
    d.push_constants = words_of(LinearBytesPush{.rows = work.rows, .x_words = x_words});
    d.specialization = words_of(constants);
    d.subgroup_size = subgroup;
    const std::uint64_t block_lanes = std::min(subgroup, constants.x_block / 4);
    d.groups = l.spread(ceil_div(std::uint64_t{work.rows} * (work.columns / constants.x_block) * block_lanes,
                                 std::uint64_t{shape.lanes}));
    l.emit(std::move(d));
    x.access = beside.access = Access::Read;
    x.view = View::U32x4;
    beside.view = View::U32x2;
  }
  Dispatch d;
  d.shader = "linear_dot";
  d.product = true;
  d.variant = {std::string(dtype_name(work.dtype)), shared ? "floats" : "bytes"};
  d.bindings = {x, bindings.weight.words, bindings.weight.scales, bindings.bias, bindings.residual, beside, bindings.y};
  d.push_constants = words_of(LinearDotPush{.rows = work.rows,
                                            .row_units = u32(matrix_row_units(work.dtype, work.columns)),
                                            .count = work.count,
                                            .first = work.first,
                                            .width = work.width,
                                            .norm_eps = epilogue.norm_eps});
  d.specialization = words_of(LinearDotConstants{.lanes = shape.lanes,
                                                 .subgroup_size = subgroup,
                                                 .rows = shape.rows,
                                                 .columns = work.rows,
                                                 .activation = epilogue.activation,
                                                 .has_bias = epilogue.bias,
                                                 .has_residual = epilogue.residual,
                                                 .has_norm = work.norm,
                                                 .gated = work.gate,
                                                 .band = bindings.weight.band,
                                                 .x_words = x_words});
  d.subgroup_size = subgroup;
  d.groups = {shape.groups, 1, 1};
  d.flops = flops;
  d.bytes = bytes;
  l.emit(std::move(d));
}

}  // namespace heed::ops
