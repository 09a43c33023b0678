// How a step of attention, of a single row or of rows of different sequences, runs as one dispatch that writes its keys
// to the cache too: shaders/attention_split.comp, runs of the keys of which workgroups go through side by side, or
// attention_step.comp.
#include "constants/attention_step.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "constants/attention_split.h"
#include "graph/integer.h"
#include "ops/attention_lower.h"
#include "ops/rotary.h"

namespace heed::ops {
namespace {

using namespace attention_input;  // NOLINT: names of inputs

constexpr std::uint32_t kStepBindings = 11;
constexpr std::uint32_t kStepBindingsWithPlaces = kStepBindings + 1;  // with keys that lie where a table says
constexpr std::uint32_t kSplitBindings = kStepBindings + 2;

/// How attention_split.comp is cut for a single row; nothing where it cannot run.
struct KeyRuns {
  AttentionSplitConstants constants;
  std::uint32_t runs;        // of the keys of each
  std::int64_t blocks;       // groups of heads that share keys
  std::uint64_t part_bytes;  // what the runs of all heads leave

  static std::optional<KeyRuns> of(const Lowering& l, const AttentionSizes& s) {
    constexpr std::int64_t kMostHeads = 8;    // of a workgroup: sums in registers
    constexpr std::int64_t kFewestKeys = 16;  // worth a workgroup
    constexpr std::uint32_t kLanes = 128;
    if (l.tuning().attention_groups == 0 || !has_vector_heads(s)) return std::nullopt;
    if (l.caps().max_storage_buffers < kSplitBindings) return std::nullopt;
    std::int64_t group = std::min(kMostHeads, s.heads / s.kv_heads);
    while (s.heads / s.kv_heads % group != 0) --group;
    KeyRuns cut{};
    cut.blocks = s.heads / group;
    const std::int64_t wanted = ceil_div<std::int64_t>(l.tuning().attention_groups, cut.blocks);
    const std::int64_t runs = std::clamp<std::int64_t>(wanted, 1, ceil_div(s.length, kFewestKeys));
    AttentionSplitConstants& c = cut.constants;
    c.lanes = c.workgroup = l.lanes(kLanes);
    c.group = u32(group);
    c.q_length = u32(s.d / 4);
    c.v_length = u32(s.dv / 4);
    cut.runs = u32(runs);
    // Neighbouring lanes read neighbouring words, 128 bytes of a key together.
    c.key_lanes = std::min(8u, std::bit_floor(c.q_length));
    if (c.lanes < std::max({c.key_lanes, c.group, c.v_length})) return std::nullopt;
    c.tile = std::clamp(std::bit_ceil(u32(ceil_div(s.length, runs))), 16u, 64u);
    const auto shared = [&] {
      return (std::uint64_t{c.group} + 1) * c.q_length * 16 + std::uint64_t{c.group} * c.tile * (c.key_lanes + 1) * 4 +
             c.group * 4 + std::uint64_t{c.lanes} * 20 + 4;
    };
    while (c.tile > 16 && shared() > l.caps().max_shared_memory) c.tile /= 2;
    if (shared() > l.caps().max_shared_memory) return std::nullopt;
    // Loop iterations of an invocation: a tile's scores, weights and values, and the end.
    const std::uint64_t tiles = ceil_div(static_cast<std::uint64_t>(s.length), std::uint64_t{c.tile} * cut.runs) + 1;
    const std::uint64_t scores =
        ceil_div(c.tile, c.lanes / c.key_lanes) * (2 * c.group + ceil_div(c.q_length, c.key_lanes) * (c.group + 1)) +
        ceil_div(c.group * c.tile, c.lanes) * (c.key_lanes + 1);
    const std::uint64_t weights = c.tile + ceil_div(c.tile, c.lanes / c.group) + c.group;
    const std::uint64_t values = ceil_div(c.tile, c.lanes / c.v_length) * (c.group + 1);
    const std::uint64_t ends = std::uint64_t{c.lanes} * (c.group + 2) + 16 * std::uint64_t{c.group} * c.q_length +
                               ceil_div(c.group * c.v_length * 4, c.lanes) * (2 * std::uint64_t{cut.runs} + 2);
    if (tiles * (scores + weights + values) + ends > l.caps().max_loop_iterations) return std::nullopt;
    cut.part_bytes = static_cast<std::uint64_t>(s.heads * runs * (s.dv + 2)) * 4;
    return cut;
  }
};

/// Workgroups for each group of heads and run of keys, the last of which joins what they leave.
void lower_runs(Lowering& l, const AttentionSizes& s, const KeyRuns& cut, Dispatch d, AttentionPush push,
                bool half_split) {
  d.shader = "attention_split";
  d.variant = {cache_variant(s)};
  d.bindings.push_back(l.scratch("parts", cut.part_bytes));
  d.bindings.push_back(l.counter(static_cast<std::size_t>(cut.blocks)));
  push.runs = cut.runs;
  d.push_constants = words_of(push);
  AttentionSplitConstants constants = cut.constants;
  constants.masked = l.has(kMask);
  constants.half_split = half_split;
  d.specialization = words_of(constants);
  d.groups = l.spread(static_cast<std::uint64_t>(cut.blocks) * cut.runs);
  l.emit(std::move(d));
}

/// A workgroup for each head and row, which goes through all keys.
void lower_pass(Lowering& l, const AttentionSizes& s, Dispatch d, const AttentionPush& push, bool half_split) {
  const AttentionPass pass = AttentionPass::of(l, s);
  d.shader = "attention_step";
  d.variant = {has_vector_heads(s) ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0", l.has(kTable) ? "1" : "0",
               cache_variant(s)};
  if (l.caps().can_hand_on() && l.caps().subgroup_arithmetic && pass.lanes == l.caps().subgroup_size) {
    d.variant[1] = "shuffle";
  }
  if (l.has(kTable)) d.bindings.push_back(l.read(kTable, View::I32));
  d.push_constants = words_of(push);
  d.specialization = words_of(AttentionStepConstants{.lanes = pass.lanes,
                                                     .masked = l.has(kMask),
                                                     .tile = pass.tile,
                                                     .slots = pass.slots,
                                                     .q_length = pass.q_length,
                                                     .half_split = half_split,
                                                     .heads = u32(s.heads),
                                                     .group_heads = u32(s.heads / s.kv_heads)});
  d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));
  l.emit(std::move(d));
}

}  // namespace

bool is_attention_step(const Lowering& l, const AttentionSizes& s) {
  if (!l.has(kCacheK) || s.length == 0 || s.score != AttentionScore::Dot || l.wants_output(1)) return false;
  if (has_own_positions(l)) {
    return l.attributes().integer("apart", 0) != 0 && l.caps().max_storage_buffers >= kStepBindingsWithPlaces;
  }
  return s.queries == 1 && l.caps().max_storage_buffers >= kStepBindings;
}

void lower_attention_step(Lowering& l, const AttentionSizes& s, Dispatch d) {
  std::optional<Rotary> rotary;
  if (l.attributes().has("rotary_layout")) rotary = Rotary::from(l.attributes(), "rotary_", s.d);
  AttentionPush push = attention_push(l, s);
  push.dims = rotary ? u32(rotary->dims) : 0;
  const bool half_split = rotary && rotary->half;
  count_keys(s, s.d + s.dv, d);
  const Binding q = d.bindings.front();
  Binding write_k = l.update(kCacheK);
  Binding write_v = l.update(kCacheV);
  write_k.access = write_v.access = Access::Write;
  d.bindings.push_back(s.packed ? q : l.read(kK, View::F32));
  d.bindings.push_back(s.packed ? q : l.read(kV, View::F32));
  d.bindings.push_back(rotary ? rotary->table(l, s.length) : q);
  d.bindings.push_back(write_k);
  d.bindings.push_back(write_v);
  std::optional<KeyRuns> runs;
  if (!l.has(kTable)) runs = KeyRuns::of(l, s);
  if (runs) {
    lower_runs(l, s, *runs, std::move(d), push, half_split);
  } else {
    lower_pass(l, s, std::move(d), push, half_split);
  }
}

}  // namespace heed::ops
