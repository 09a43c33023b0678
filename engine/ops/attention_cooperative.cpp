// How attention_cooperative.comp is cut for sizes and a device.
#include <algorithm>
#include <array>
#include <bit>
#include <initializer_list>

#include "graph/integer.h"
#include "ops/attention.h"
#include "ops/linear_cooperative.h"
#include "plan/device_caps.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kFewestCoopRows = 8;    // of all, half of which are there
constexpr std::uint32_t kShare = 8;            // lanes that fetch a key together
constexpr std::uint32_t kRowKeys = 8;          // keys of a row whose weights a lane makes
constexpr std::uint32_t kMostSubgroups = 8;    // of a workgroup
constexpr std::uint32_t kWantedSubgroups = 4;  // as many as a core has schedulers
constexpr std::uint32_t kMostPasses = 8;       // over rows that lanes make weights of: each is code of its own
// Words that a lane holds in registers through products: AMD's compiler hands out 256 before it spills, and has others
// for addresses and state. Tried: none spills with so many, some with 144 do.
constexpr std::uint32_t kMostWords = 128;

std::uint32_t padded(std::uint32_t vectors, std::uint32_t matrix) { return u32(round_up(vectors * 4, matrix)) / 4; }

/// Bytes that the subgroups of a workgroup read of shared memory for a tile of keys.
std::uint64_t traffic_of(const AttentionCooperativeConstants& c, std::uint32_t rows, std::uint32_t kv_halves) {
  const std::uint64_t of_rows = std::uint64_t{rows} * c.halves * (c.q_length * 4 + c.keys) * c.subgroups_across;
  const std::uint64_t of_keys = std::uint64_t{c.keys} * kv_halves * (c.q_length + c.v_length) * 4 * c.subgroups_down;
  return 2 * (of_rows + of_keys);
}

/// Loop iterations of an invocation, at most, were every loop of the shader one.
std::uint64_t coop_iterations(const AttentionCooperativeConstants& c, const AttentionSizes& s, std::uint32_t rows,
                              std::uint32_t lanes) {
  const std::uint64_t at_a_time = lanes / kShare;
  const std::uint64_t rounds = ceil_div<std::uint64_t>(c.keys, at_a_time);
  const std::uint64_t moves = 2 * rounds * (3 * std::uint64_t{c.words} + 5);
  const std::uint64_t sums = c.matrix_rows * c.value_matrices;
  const std::uint64_t of_scores = std::uint64_t{c.matrix_rows} * (c.key_matrices + 1) + c.key_matrices + 1;
  const std::uint64_t scores = padded(c.q_length, c.k) * 4 / c.k * of_scores + 3 * c.matrix_rows * c.key_matrices;
  const std::uint64_t passes = ceil_div(std::uint64_t{rows} * (c.keys / kRowKeys), std::uint64_t{lanes});
  const std::uint64_t weights = passes * (4 * kRowKeys + 16);
  const std::uint64_t values = c.keys / c.k * (sums + c.value_matrices + c.matrix_rows + 1) + sums + c.matrix_rows;
  const std::uint64_t broken_scores = ceil_div<std::uint64_t>(rows * c.keys, lanes) * (c.q_length + 1);
  const std::uint64_t own_elements = c.m * c.n / c.subgroup_size + 1;
  const std::uint64_t broken_values =
      5 * passes + 2 * (5 * (c.keys * padded(c.v_length, c.n) / lanes + 1) + sums * (c.keys / c.k + own_elements + 1));
  const std::uint64_t tile = moves + scores + weights + values + broken_scores + broken_values + 1;
  const std::uint64_t tiles = ceil_div(static_cast<std::uint64_t>(s.length), std::uint64_t{c.keys}) + 1;
  const std::uint64_t q_rounds = ceil_div<std::uint64_t>(rows, at_a_time);
  const std::uint64_t ends =
      q_rounds * (2 * (padded(c.q_length, c.k) / kShare + 1) + 4) + rows + 8 * passes + sums * (own_elements / 4 + 3);
  return tiles * tile + ends;
}

/// Tiles of so many rows and keys with matrices of that size; nothing where these do not fit.
std::optional<AttentionMatrices> cut(const std::array<std::uint32_t, 3>& matrix, const AttentionSizes& s,
                                     const DeviceCaps& caps, std::uint32_t halves, std::uint32_t rows,
                                     std::uint32_t keys) {
  const auto [m, n, k] = matrix;
  const bool powers = std::has_single_bit(m) && std::has_single_bit(n) && std::has_single_bit(k);
  // What lies at the beginning of a matrix is at a multiple of 16 bytes.
  if (!powers || k % 8 != 0 || n % 8 != 0 || keys % n != 0 || keys % k != 0 || rows % m != 0) return std::nullopt;
  const bool f16 = s.cache == DType::F16;
  const std::uint32_t kv_halves = f16 ? 1 : halves;
  const std::uint32_t most_lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], kMostCooperativeLanes});
  const std::uint32_t most = std::min(kMostSubgroups, most_lanes / caps.subgroup_size);
  AttentionCooperativeConstants c{};
  c.m = m;
  c.n = n;
  c.k = k;
  c.subgroup_size = caps.subgroup_size;
  c.keys = keys;
  c.halves = halves;
  c.q_length = u32(s.d / 4);
  c.v_length = u32(s.dv / 4);
  const std::uint32_t q_words = padded(c.q_length, k);
  const std::uint32_t v_words = padded(c.v_length, n);
  c.words = ceil_div(std::max(q_words, v_words), kShare);
  c.kv_stride = std::max(q_words, v_words) + 2;
  std::optional<AttentionMatrices> best;
  double least = 0;
  for (std::uint32_t down = 1; down <= std::min(most, rows / m); down *= 2) {
    for (std::uint32_t across = 1; down * across <= most; across *= 2) {
      c.subgroups_down = down;
      c.subgroups_across = across;
      c.matrix_rows = rows / m / down;
      c.key_matrices = ceil_div(keys / n, across);
      c.value_matrices = ceil_div(v_words * 4 / n, across);
      const std::uint32_t lanes = down * across * caps.subgroup_size;
      const std::uint32_t floats = c.matrix_rows * m * n / caps.subgroup_size;  // of a lane, for each column
      const std::uint32_t staged = ceil_div(keys * kShare, lanes) * c.words * (f16 ? 2 : 4);
      const std::uint32_t passes = ceil_div(rows * (keys / kRowKeys), lanes);
      // Of a matrix of f16 a lane may have a whole row, as on RDNA 3.
      const std::uint32_t of_scores = floats * c.key_matrices + k / 2 * (kv_halves * c.key_matrices + halves);
      const std::uint32_t of_sums = k / 2 * (halves * c.matrix_rows + kv_halves);
      if (floats * c.value_matrices + staged + std::max(of_scores, of_sums) > kMostWords) continue;
      if (passes > kMostPasses) continue;
      const std::uint32_t subgroups = down * across;
      c.score_words = std::max(rows * (keys / 4 + 1), subgroups * m * n / 4);
      const std::uint64_t shared = std::uint64_t{halves} * rows * (q_words + 2) * 8 +
                                   std::uint64_t{kv_halves} * keys * c.kv_stride * 8 +
                                   std::uint64_t{c.score_words} * 16 + rows * 8 + (f16 ? 0 : keys * 8) + 12;
      if (shared > caps.max_shared_memory) continue;
      const double cost = static_cast<double>(traffic_of(c, rows, kv_halves)) *
                          (subgroups < kWantedSubgroups ? static_cast<double>(kWantedSubgroups) / subgroups : 1.0);
      if (best && cost >= least) continue;
      c.lanes = lanes;
      const std::uint64_t iterations = coop_iterations(c, s, rows, lanes);
      if (iterations > caps.max_loop_iterations) continue;
      least = cost;
      best = {c, rows, ceil_div(s.memory_rows * (s.heads / s.kv_heads), std::int64_t{rows}), shared, iterations};
    }
  }
  return best;
}

}  // namespace

std::optional<AttentionMatrices> AttentionMatrices::of(const AttentionSizes& s, const DeviceCaps& caps,
                                                       std::int64_t wanted, std::uint32_t halves) {
  if (s.d % 4 != 0 || s.dv % 4 != 0 || s.score != AttentionScore::Dot) return std::nullopt;
  // Lanes that share a key or a row agree on its scale.
  if (!caps.subgroup_shuffle || caps.subgroup_size < kShare || !std::has_single_bit(caps.subgroup_size)) {
    return std::nullopt;
  }
  const std::int64_t all_rows = s.memory_rows * (s.heads / s.kv_heads);
  if (2 * all_rows < kFewestCoopRows) return std::nullopt;
  // The matrix and the keys of full tiles, whatever the number of rows: what a row gives must not depend on it.
  const std::uint32_t most_rows = std::bit_ceil(u32(std::max(wanted, kFewestCoopRows)));
  std::optional<AttentionMatrices> full;
  std::array<std::uint32_t, 3> matrix{};
  const auto size = [](const std::array<std::uint32_t, 3>& of) { return of[0] * of[1] * of[2]; };
  for (const std::array<std::uint32_t, 3>& listed : caps.cooperative_sizes) {
    if (full && size(listed) <= size(matrix)) continue;  // the largest does most for what it loads
    std::optional<AttentionMatrices> tiles;
    for (std::uint32_t rows = std::max(most_rows, listed[0]); !tiles && rows >= listed[0]; rows /= 2) {
      for (const std::uint32_t keys : {64u, 32u, 16u}) {
        if (!tiles) tiles = cut(listed, s, caps, halves, rows, keys);
      }
    }
    if (!tiles) continue;
    full = tiles;
    matrix = listed;
  }
  if (!full) return std::nullopt;
  for (std::int64_t rows = matrix[0]; rows < full->rows; rows *= 2) {
    if (rows < all_rows) continue;
    if (const auto smaller = cut(matrix, s, caps, halves, u32(rows), full->constants.keys)) return smaller;
  }
  return full;
}

}  // namespace heed::ops
