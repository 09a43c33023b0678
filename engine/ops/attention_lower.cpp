// Which kernel attention runs as. Those for all its kinds, and for many rows at a time, are here; steps, and caches in
// pieces, have files of their own.
#include "ops/attention_lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "constants/attention.h"
#include "constants/attention_rows.h"
#include "constants/attention_weights.h"
#include "graph/integer.h"
#include "ops/same_reads.h"

namespace heed::ops {
namespace {

using namespace attention_input;  // NOLINT: names of inputs

View view_of_heads(const AttentionSizes& s) { return has_vector_heads(s) ? View::F32x4 : View::F32; }

/// What the kernels for all kinds of attention bind behind the output.
void bind_general(Lowering& l, const AttentionSizes& s, Dispatch& d) {
  const Binding q = d.bindings.front();
  d.bindings.push_back(l.read_or(kTable, View::I32, q));
  d.bindings.push_back(l.read_or(kScoreWeight, view_of_heads(s), q));
}

/// The weights themselves, which are output 1.
void lower_weights(Lowering& l, const AttentionSizes& s, Dispatch d) {
  d.shader = "attention_weights";
  count_keys(s, s.d, d);
  d.bindings.push_back(l.write(1));
  bind_general(l, s, d);
  const std::uint32_t lanes = l.lanes_within_loops(l.tuning().lanes, [&](std::uint32_t many) {
    const auto elements = static_cast<std::uint64_t>(has_vector_heads(s) ? s.d / 4 : s.d);
    return (static_cast<std::uint64_t>(s.length) / many + 1) * (elements + 3) + 2 * Lowering::reduce_iterations(many);
  });
  d.specialization = words_of(AttentionWeightsConstants{.lanes = lanes,
                                                        .cached = s.cached,
                                                        .causal = s.causal,
                                                        .masked = l.has(kMask),
                                                        .own_positions = has_own_positions(l),
                                                        .tabled = tabled(l),
                                                        .lengths = l.has(kLengths),
                                                        .score = static_cast<std::uint32_t>(s.score)});
  l.emit(std::move(d));
}

/// Adds what a dispatch reads of keys and values, `passes` times, and does for them.
void count_passes(const AttentionSizes& s, Dispatch& d, std::int64_t passes) {
  d.bytes = s.cached ? 0 : static_cast<std::uint64_t>(passes) * (d.bindings[1].size + d.bindings[2].size);
  count_keys(s, s.d + s.dv, d, passes);
}

/// A workgroup for each query and head; every kind of attention.
void lower_general(Lowering& l, const AttentionSizes& s, Dispatch d) {
  const AttentionPass pass = AttentionPass::of(l, s);
  d.shader = "attention";
  count_passes(s, d, 1);
  bind_general(l, s, d);
  d.specialization = words_of(AttentionConstants{.lanes = pass.lanes,
                                                 .cached = s.cached,
                                                 .causal = s.causal,
                                                 .masked = l.has(kMask),
                                                 .tile = pass.tile,
                                                 .slots = pass.slots,
                                                 .q_length = pass.q_length,
                                                 .own_positions = has_own_positions(l),
                                                 .tabled = tabled(l),
                                                 .lengths = l.has(kLengths),
                                                 .score = static_cast<std::uint32_t>(s.score)});
  l.emit(std::move(d));
}

/// Whether lanes had better be query rows than keys: where that was found faster, there are enough rows that see the
/// same keys, and a head fits registers, which that of no usual model does on a GPU.
bool wants_rows(const Lowering& l, const AttentionSizes& s) {
  constexpr std::int64_t kWidestHead = 128;
  return l.caps().type == DeviceType::Cpu && l.tuning().query_lanes && s.memory_rows >= 4 && s.d <= kWidestHead &&
         s.dv <= kWidestHead && tabled(l) != 1 && s.score == AttentionScore::Dot && has_vector_heads(s) &&
         static_cast<std::uint64_t>(s.length) < l.caps().max_loop_iterations;
}

void lower_rows(Lowering& l, const AttentionSizes& s, Dispatch d) {
  d.shader = "attention_rows";
  count_passes(s, d, 1);
  d.bindings.push_back(l.read_or(kTable, View::I32, d.bindings.front()));
  const bool hand_on = l.tuning().key_shuffle && l.caps().can_hand_on();
  d.variant.clear();
  choose_same_reads(l, d, {1, 2}, hand_on);  // keys and values
  d.variant.push_back(cache_variant(s));
  const std::uint32_t lanes = hand_on ? l.caps().subgroup_size : l.tuning().lanes;
  d.specialization = words_of(AttentionRowsConstants{.lanes = lanes,
                                                     .cached = s.cached,
                                                     .causal = s.causal,
                                                     .masked = l.has(kMask),
                                                     .q_length = u32(s.d / 4),
                                                     .v_length = u32(s.dv / 4),
                                                     .keys_at_a_time = std::max(s.d, s.dv) <= 64 ? 4u : 2u,
                                                     .own_positions = has_own_positions(l),
                                                     .lengths = l.has(kLengths),
                                                     .tabled = tabled(l)});
  d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.memories()) * ceil_div(u32(s.memory_rows), lanes));
  l.emit(std::move(d));
}

/// How rows go through the keys in tiles of shared memory, where that is tuned so and possible. What it cannot take is
/// done by attention.comp: keys of a table with a column for each row, which share none, and what AttentionTiles names.
std::optional<AttentionTiles> tiles_of(const Lowering& l, const AttentionSizes& s) {
  if (l.tuning().query_tile == 0 || tabled(l) == 1) return std::nullopt;
  return AttentionTiles::of(s, l.caps(), l.tuning().query_tile);
}

/// The same by cooperative matrices.
std::optional<AttentionMatrices> matrices_of(const Lowering& l, const AttentionSizes& s) {
  if (!l.tuning().cooperative_attention || l.tuning().query_tile == 0 || tabled(l) == 1) return std::nullopt;
  return AttentionMatrices::of(s, l.caps(), l.tuning().query_tile, u32(l.attributes().integer("halves", 2)));
}

/// Either of them.
template <typename Tiles>
void lower_tiles(Lowering& l, const AttentionSizes& s, const Tiles& tiles, Dispatch d) {
  count_passes(s, d, tiles.blocks);
  d.bindings.push_back(l.read_or(kTable, View::I32, d.bindings.front()));
  d.variant = {cache_variant(s)};
  auto constants = tiles.constants;
  constants.cached = s.cached;
  constants.causal = s.causal;
  constants.masked = l.has(kMask);
  constants.own_positions = has_own_positions(l);
  constants.lengths = l.has(kLengths);
  constants.tabled = tabled(l);
  d.specialization = words_of(constants);
  d.groups = l.spread(static_cast<std::uint64_t>(s.kv_heads * s.memories() * tiles.blocks));
  l.emit(std::move(d));
}

void lower_outputs(Lowering& l, const AttentionSizes& s, Dispatch d) {
  if (l.wants_output(1)) lower_weights(l, s, d);
  if (!l.wants_output(0)) return;
  d.bindings.push_back(l.write(0));
  if (is_attention_step(l, s)) {
    lower_attention_step(l, s, std::move(d));
  } else if (const std::optional<AttentionMatrices> matrices = matrices_of(l, s)) {
    d.shader = "attention_cooperative";
    d.storage_only = true;
    d.subgroup_size = l.caps().subgroup_size;
    lower_tiles(l, s, *matrices, std::move(d));
  } else if (const std::optional<AttentionTiles> tiles = tiles_of(l, s)) {
    d.shader = "attention_tiles";
    lower_tiles(l, s, *tiles, std::move(d));
  } else if (wants_rows(l, s)) {
    lower_rows(l, s, std::move(d));
  } else {
    lower_general(l, s, std::move(d));
  }
}

}  // namespace

bool has_own_positions(const Lowering& l) {
  return l.has(kPosition) && (l.has(kTable) || l.input(kPosition).shape[0] > 1);
}

std::uint32_t tabled(const Lowering& l) {
  if (!l.has(kTable)) return 0;
  return l.input(kTable).shape[1] == 1 ? 2 : 1;
}

bool has_vector_heads(const AttentionSizes& s) { return s.d % 4 == 0 && s.dv % 4 == 0; }

std::string cache_variant(const AttentionSizes& s) { return std::string(dtype_name(s.cache)); }

AttentionPush attention_push(const Lowering& l, const AttentionSizes& s) {
  AttentionPush push = attention_push(s);
  push.q_row = u32(l.input(kQ).shape.back());
  if (l.has(kMask)) {
    const AttentionMask mask = AttentionMask::of(l.input(kMask).shape);
    push.mask_head = u32(mask.head_stride);
    push.mask_memory = u32(mask.memory_stride);
  }
  return push;
}

AttentionPass AttentionPass::of(const Lowering& l, const AttentionSizes& s) {
  const bool vectors = has_vector_heads(s);
  const auto value_elements = static_cast<std::uint64_t>(vectors ? s.dv / 4 : s.dv);
  AttentionPass pass{};
  pass.lanes = l.lanes_within_loops(l.tuning().lanes,
                                    [&](std::uint32_t many) { return attention_iterations(s, vectors, many); });
  pass.tile = attention_tile(pass.lanes);
  pass.slots = u32(ceil_div(value_elements, pass.lanes));
  pass.q_length = u32(vectors ? s.d / 4 : s.d);
  const std::uint64_t shared = attention_shared(s, pass.lanes);
  if (shared > l.caps().max_shared_memory) {
    l.fail(fmt::format("heads of {} elements need {} bytes of shared memory; the device has {}", s.d, shared,
                       l.caps().max_shared_memory));
  }
  return pass;
}

void lower_attention(Lowering& l) {
  const auto shape_of = [&](std::size_t i) { return l.has(i) ? &l.input(i).shape : nullptr; };
  AttentionSizes s = AttentionSizes::from(l.attributes(), *shape_of(kQ), shape_of(kK), shape_of(kV), shape_of(kCacheK),
                                          shape_of(kCacheV), shape_of(kTable));
  if (s.cached && l.input(kCacheK).dtype == DType::F16) s.cache = DType::F16;
  if (s.queries == 0) return;
  const bool own_positions = has_own_positions(l);
  if (s.cached && own_positions) l.check_indices(kPosition, "position", {s.length}, true);
  if (s.cached && !own_positions) l.check_indices(kPosition, "position", {s.positions()}, false);
  if (s.cached && lower_in_pieces(l, s)) return;
  const bool step = is_attention_step(l, s);
  std::optional<Binding> turned;
  if (s.cached && !step) turned = enter_cache(l, s, {0, l.input(kCacheK).shape[0]});

  const View view = view_of_heads(s);
  Binding q = turned ? *turned : l.read(kQ, step ? View::F32 : view);
  q.access = Access::Read;
  if (turned) q.view = view;
  Binding keys = s.cached ? l.update(kCacheK) : l.read(kK, view);
  Binding values = s.cached ? l.update(kCacheV) : l.read(kV, view);
  keys.access = values.access = Access::Read;
  keys.view = values.view = s.cache == DType::F16 ? View::U32x2 : view;
  AttentionPush push = attention_push(l, s);
  if (turned) push.q_row = u32(s.q_width());
  Dispatch d;
  d.bindings = {q, keys, values, l.read_or(kMask, View::F32, q),
                l.read_or(s.cached ? kPosition : kLengths, View::I32, q)};
  d.push_constants = words_of(push);
  d.variant = {has_vector_heads(s) ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0", cache_variant(s)};
  d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));
  lower_outputs(l, s, std::move(d));
}

}  // namespace heed::ops
