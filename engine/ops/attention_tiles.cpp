// How attention_tiles.comp is cut for sizes and a device.
#include <algorithm>
#include <bit>
#include <initializer_list>

#include "graph/integer.h"
#include "ops/attention.h"
#include "plan/device_caps.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::uint32_t kMostLanes = 256;
constexpr std::uint32_t kFewestLanes = 32;
constexpr std::int64_t kFewestRows = 8;
/// Registers for sums that a lane can spare: 64 of the 256 that AMD's compiler hands out before it spills.
constexpr std::uint32_t kMostSums = 16;  // vec4s
/// Two workgroups a core of 64 KiB, or three and more of those that have 100.
constexpr std::uint64_t kSharedMemory = 32768;

/// The largest number up to `most` that divides.
std::uint32_t divisor(std::uint32_t number, std::uint32_t most) {
  while (number % most != 0) --most;
  return most;
}

std::uint64_t tile_bytes(const AttentionTilesConstants& c, std::uint32_t rows) {
  return std::uint64_t{rows} * (c.q_step + c.key_lanes) * 16 + std::uint64_t{c.kv_words} * 16 + rows * 4 + 4;
}

/// Keys and values of a tile, and what of them lies in shared memory at a time.
void cut_chunks(AttentionTilesConstants& c, std::uint32_t rows, std::uint32_t step, bool whole_q) {
  const std::uint32_t tile = 4 * c.key_lanes;
  c.step = divisor(c.q_length, step);
  c.stride = c.step | 1u;
  c.q_step = whole_q ? c.q_length : c.step;
  c.value_keys = 4;
  while (c.value_keys < tile && 2 * c.value_keys * c.v_length <= tile * c.stride) c.value_keys *= 2;
  c.kv_words = std::max(tile * c.stride, c.value_keys * c.v_length);
  c.staged = u32(ceil_div(std::max(tile * c.step, c.value_keys * c.v_length), c.lanes));
  c.q_staged = whole_q ? 1 : u32(ceil_div(rows * c.step, c.lanes));
}

std::uint64_t iterations_of(const AttentionTilesConstants& c, const AttentionSizes& s, std::uint32_t rows) {
  const std::uint64_t own = c.rows_a_lane;
  const std::uint64_t tile = 4 * std::uint64_t{c.key_lanes};
  const std::uint64_t moves = 2 * std::uint64_t{c.staged} + 1;
  const std::uint64_t key_chunks = c.q_length / c.step;
  const std::uint64_t keys = key_chunks * (moves + 2 * std::uint64_t{c.q_staged} + c.step * (own + 1) + 1);
  const std::uint64_t weights = own * (4 + c.key_lanes + 1 + 4 + c.words) + 4 * own;
  const std::uint64_t fours = c.value_keys / 4 * (1 + own + c.words * (5 + 4 * own));
  const std::uint64_t values = tile / c.value_keys * (moves + fours + 1);
  const std::uint64_t tiles = ceil_div(static_cast<std::uint64_t>(s.length), tile) + 1;
  const std::uint64_t ends =
      2 * rows + ceil_div(rows * (c.q_length + 1), c.lanes) + own * (3 * c.words + c.key_lanes + 4);
  return tiles * (keys + weights + values + 1) + ends;
}

/// Tiles of so many rows, of which so many lanes share each; nothing where these do not fit.
std::optional<AttentionTiles> tiles_of(const AttentionSizes& s, const DeviceCaps& caps, std::uint32_t rows,
                                       std::uint32_t key_lanes) {
  const std::uint64_t room = std::min<std::uint64_t>(caps.max_shared_memory, kSharedMemory);
  const std::uint32_t most_lanes =
      std::bit_floor(std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], kMostLanes}));
  if (most_lanes < kFewestLanes) return std::nullopt;
  AttentionTilesConstants c{};
  c.q_length = u32(s.d / 4);
  c.v_length = u32(s.dv / 4);
  c.key_lanes = key_lanes;
  c.words = u32(ceil_div(c.v_length, key_lanes));
  // Four rows a lane, or fewer where the workgroup would be very small.
  c.lanes = c.workgroup = std::clamp(rows * key_lanes / 4, kFewestLanes, most_lanes);
  if (rows * key_lanes % c.lanes != 0) return std::nullopt;
  c.rows_a_lane = rows * key_lanes / c.lanes;
  if (c.rows_a_lane * c.words > kMostSums || c.rows_a_lane > 8) return std::nullopt;
  for (const std::uint32_t step : {8u, 4u, 2u}) {
    for (const bool whole_q : {true, false}) {
      cut_chunks(c, rows, std::min(step, c.q_length), whole_q);
      const std::uint64_t shared = tile_bytes(c, rows);
      if (shared > room) continue;
      const std::uint64_t iterations = iterations_of(c, s, rows);
      if (iterations > caps.max_loop_iterations) return std::nullopt;
      return AttentionTiles{c, rows, ceil_div(s.memory_rows * (s.heads / s.kv_heads), std::int64_t{rows}), shared,
                            iterations};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<AttentionTiles> AttentionTiles::of(const AttentionSizes& s, const DeviceCaps& caps, std::int64_t wanted) {
  if (s.d % 4 != 0 || s.dv % 4 != 0 || s.score != AttentionScore::Dot) return std::nullopt;
  const std::int64_t all_rows = s.memory_rows * (s.heads / s.kv_heads);
  if (2 * all_rows < kFewestRows) return std::nullopt;
  // How many lanes share rows says in which order these are summed: as many as for a long prompt, so that a row of a
  // short one is the same.
  const auto most_rows = static_cast<std::int64_t>(std::bit_ceil(u64(wanted)));
  std::optional<AttentionTiles> tiles;
  for (std::int64_t rows = std::max(kFewestRows, most_rows); !tiles && rows >= kFewestRows; rows /= 2) {
    for (const std::uint32_t key_lanes : {16u, 8u}) {
      if (!tiles) tiles = tiles_of(s, caps, u32(rows), key_lanes);
    }
  }
  if (!tiles) return std::nullopt;
  for (std::int64_t rows = kFewestRows; rows < tiles->rows; rows *= 2) {
    if (rows < all_rows) continue;
    if (const auto smaller = tiles_of(s, caps, u32(rows), tiles->constants.key_lanes)) return smaller;
  }
  return tiles;
}

}  // namespace heed::ops
