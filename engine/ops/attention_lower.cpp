#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "constants/attention.h"
#include "constants/attention_pieces.h"
#include "constants/attention_prepare.h"
#include "constants/attention_push.h"
#include "constants/attention_rows.h"
#include "constants/attention_split.h"
#include "constants/attention_step.h"
#include "constants/attention_tiles.h"
#include "constants/attention_weights.h"
#include "graph/integer.h"
#include "ops/attention.h"
#include "ops/op.h"
#include "ops/rotary.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

using Sizes = AttentionSizes;
using namespace attention_input;  // NOLINT: names of inputs

/// Whether each row says where it is; a single row does in either way.
bool has_own_positions(const Lowering& l) {
  return l.has(kPosition) && (l.has(kTable) || l.input(kPosition).shape[0] > 1);
}

/// Where keys lie, for the constant TABLED of the shaders: 0, where their positions say; 1, where a table says for each
/// row; 2, where one says for all rows.
std::uint32_t tabled(const Lowering& l) {
  if (!l.has(kTable)) return 0;
  return l.input(kTable).shape[1] == 1 ? 2 : 1;
}

/// What the shaders call the type of the keys and values that they read.
std::string cache_variant(const Sizes& s) { return std::string(dtype_name(s.cache)); }

/// Rows of a cache that are bound at a time: all, but where a device binds less.
struct CachePiece {
  std::int64_t first;
  std::int64_t rows;
};

/// A piece of cache `i`.
Binding bind_piece(Lowering& l, std::size_t i, const CachePiece& piece) {
  Binding binding = l.update(i);
  const Shape& shape = l.input(i).shape;
  if (piece.rows == shape[0]) return binding;
  const std::uint64_t row = u64(shape[1]) * device_element_bytes(ValueKind::State, l.input(i).dtype);
  const std::uint64_t end = binding.offset + binding.size;
  binding.offset += u64(piece.first) * row;
  binding.size = std::min(round_up(u64(piece.rows) * row, 16), end - binding.offset);
  return binding;
}

/// Rows of k and v enter a piece of the cache, and q and k are turned; q only with the first piece. Returns the turned
/// q, where there was anything to turn: `turned_before`, unless this is the first.
std::optional<Binding> prepare(Lowering& l, const Sizes& s, const CachePiece& piece,
                               const std::optional<Binding>& turned_before = std::nullopt) {
  const bool turns = l.attributes().has("rotary_layout");
  const Binding first = l.read(kQ, View::F32);
  const std::uint32_t row_width = u32(l.input(0).shape[1]);
  Dispatch d;
  d.shader = "attention_prepare";
  Binding table = first;
  Rotary rotary;
  if (turns) {
    rotary = Rotary::from(l.attributes(), "rotary_", s.d);
    table = rotary.table(l, s.length);
  }
  const bool turns_q = turns && piece.first == 0;
  const Binding turned = turns_q ? l.scratch("q", static_cast<std::uint64_t>(s.queries * s.q_width()) * 4)
                         : turns ? *turned_before
                                 : bind_piece(l, kCacheK, piece);
  Binding q_out = turned;
  q_out.access = turns ? Access::Write : Access::ReadWrite;
  d.bindings = {first,
                s.packed ? first : l.read(kK, View::F32),
                s.packed ? first : l.read(kV, View::F32),
                l.read(kPosition, View::I32),
                table,
                q_out,
                bind_piece(l, kCacheK, piece),
                bind_piece(l, kCacheV, piece)};
  d.variant = {!l.has(kTable) ? "0" : turns ? "2" : "1", cache_variant(s)};
  if (l.has(kTable) && turns) d.bindings.push_back(l.read(kTable, View::I32));
  if (l.has(kTable) && !turns) d.bindings[4] = l.read(kTable, View::I32);
  d.push_constants = words_of(AttentionPreparePush{
      .rows = u32(s.queries),
      .heads = turns_q ? u32(s.heads) : 0,
      .kv_heads = u32(s.kv_heads),
      .head_dim = u32(s.d),
      .value_dim = u32(s.dv),
      .cache_rows = u32(piece.rows),
      .block_shift = s.block_shift(),
      .positions = u32(s.length),
      .table_columns = l.has(kTable) ? u32(l.input(kTable).shape[1]) : 0,
      .dims = u32(rotary.dims),
      .q_row = row_width,
      .k_row = s.packed ? row_width : u32(s.k_width()),
      .v_row = s.packed ? row_width : u32(s.v_width()),
      .k_first = s.packed ? u32(s.q_width()) : 0,
      .v_first = s.packed ? u32(s.q_width() + s.k_width()) : 0,
      .cache_first = u32(piece.first),
  });
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = words_of(
      AttentionPrepareConstants{.lanes = lanes, .half_split = rotary.half, .own_positions = has_own_positions(l)});
  const std::uint64_t pairs = static_cast<std::uint64_t>(s.queries) *
                              static_cast<std::uint64_t>(((turns_q ? s.heads : 0) + s.kv_heads) * ceil_div(s.d, 2) +
                                                         s.kv_heads * ceil_div(s.dv, 2));
  d.groups = l.spread(ceil_div(pairs, lanes));
  l.emit(std::move(d));
  if (!turns) return std::nullopt;
  return turned;
}

// Of attention_step.comp, with keys that lie where a table says.
constexpr std::uint32_t kStepBindings = 11;
constexpr std::uint32_t kStepBindingsWithPlaces = kStepBindings + 1;

/// Whether the step's kernels do it all in one dispatch: a single row, or rows of which none sees another's newest key.
bool is_step(const Lowering& l, const Sizes& s) {
  if (!l.has(kCacheK) || s.length == 0 || s.score != AttentionScore::Dot || l.wants_output(1)) return false;
  if (has_own_positions(l)) {
    return l.attributes().integer("apart", 0) != 0 && l.caps().max_storage_buffers >= kStepBindingsWithPlaces;
  }
  return s.queries == 1 && l.caps().max_storage_buffers >= kStepBindings;
}

/// How the kernels that go once over the keys (attention_pass.glsl) are cut: workgroups of `lanes` with a tile of
/// scores in shared memory and enough slots of the value row for every lane.
struct KeyTiles {
  std::uint32_t lanes;
  std::uint32_t tile;
  std::uint32_t slots;
  std::uint32_t q_length;
};

KeyTiles key_tiles(const Lowering& l, const Sizes& s, bool vectors) {
  const auto value_elements = static_cast<std::uint64_t>(vectors ? s.dv / 4 : s.dv);
  KeyTiles tiles{};
  tiles.lanes = l.lanes_within_loops(l.tuning().lanes,
                                     [&](std::uint32_t many) { return attention_iterations(s, vectors, many); });
  tiles.tile = attention_tile(tiles.lanes);
  tiles.slots = u32(ceil_div(value_elements, tiles.lanes));
  tiles.q_length = u32(vectors ? s.d / 4 : s.d);
  const std::uint64_t shared = attention_shared(s, tiles.lanes);
  if (shared > l.caps().max_shared_memory) {
    l.fail(fmt::format("heads of {} elements need {} bytes of shared memory; the device has {}", s.d, shared,
                       l.caps().max_shared_memory));
  }
  return tiles;
}

constexpr std::uint32_t kSplitBindings = kStepBindings + 2;

/// How attention_split.comp is cut for a single row; nothing where it cannot run.
struct KeyRuns {
  AttentionSplitConstants constants;
  std::uint32_t runs;        // of the keys of each
  std::int64_t blocks;       // groups of heads that share keys
  std::uint64_t part_bytes;  // what the runs of all heads leave

  static std::optional<KeyRuns> of(const Lowering& l, const Sizes& s) {
    constexpr std::int64_t kMostHeads = 8;    // of a workgroup: sums in registers
    constexpr std::int64_t kFewestKeys = 16;  // worth a workgroup
    constexpr std::uint32_t kLanes = 128;
    if (l.tuning().attention_groups == 0 || s.d % 4 != 0 || s.dv % 4 != 0) return std::nullopt;
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

/// Whether lanes had better be query rows than keys: where that was found faster, there are enough rows that see the
/// same keys, and a head fits registers, which that of no usual model does on a GPU.
bool wants_rows(const Lowering& l, const Sizes& s) {
  constexpr std::int64_t kWidestHead = 128;
  return l.caps().type == DeviceType::Cpu && l.tuning().query_lanes && s.memory_rows >= 4 && s.d <= kWidestHead &&
         s.dv <= kWidestHead && tabled(l) != 1 && s.score == AttentionScore::Dot &&
         static_cast<std::uint64_t>(s.length) < l.caps().max_loop_iterations;
}

/// Rows of a cache that a device binds at a time, of keys and values alike: pieces begin where bindings may.
std::int64_t rows_of_pieces(const Lowering& l, const Sizes& s) {
  std::int64_t rows = l.input(kCacheK).shape[0];
  std::int64_t unit = s.by_head ? kKeyBlock : 1;
  for (const std::size_t i : {kCacheK, kCacheV}) {
    const std::uint64_t row = u64(l.input(i).shape[1]) * device_element_bytes(ValueKind::State, l.input(i).dtype);
    if (row == 0) continue;
    const std::uint64_t most = l.caps().max_storage_buffer_range / row;
    rows = std::min(rows, static_cast<std::int64_t>(std::min<std::uint64_t>(most, 0x7fffffff)));
    const std::uint64_t alignment = l.caps().buffer_alignment;
    unit = std::lcm(unit, static_cast<std::int64_t>(alignment / std::gcd(alignment, row)));
  }
  return rows == l.input(kCacheK).shape[0] ? rows : rows / unit * unit;
}

/// Attention with a cache that is too large for one binding, one piece after the other. False where it is not.
bool lower_in_pieces(Lowering& l, const Sizes& s) {
  const std::int64_t rows = l.input(kCacheK).shape[0];
  const std::int64_t step = rows_of_pieces(l, s);
  if (step == rows || step == 0 || l.has(kTable) || l.wants_output(1) || s.score != AttentionScore::Dot) return false;
  const bool vectors = s.d % 4 == 0 && s.dv % 4 == 0;
  const View view = vectors ? View::F32x4 : View::F32;
  std::optional<Binding> turned;
  for (std::int64_t first = 0; first < rows; first += step) {
    turned = prepare(l, s, {first, std::min(step, rows - first)}, turned);
  }
  if (!l.wants_output(0)) return true;
  Binding q = turned ? *turned : l.read(kQ, view);
  q.access = Access::Read;
  q.view = view;
  const Binding carried = l.scratch("carried", saturating_product({u64(s.queries), u64(s.heads), u64(s.dv + 2), 4}));
  for (std::int64_t first = 0; first < rows; first += step) {
    const CachePiece piece{first, std::min(step, rows - first)};
    Sizes part = s;
    part.length = piece.rows;
    const KeyTiles tiles = key_tiles(l, part, vectors);
    Dispatch d;
    d.shader = "attention_pieces";
    d.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0", cache_variant(s)};
    Binding keys = bind_piece(l, kCacheK, piece);
    Binding values = bind_piece(l, kCacheV, piece);
    keys.access = values.access = Access::Read;
    keys.view = values.view = s.cache == DType::F16 ? View::U32x2 : view;
    d.bindings = {q, keys, values, l.read_or(kMask, View::F32, q), l.read(kPosition, View::I32), l.write(0), carried};
    AttentionPush push = attention_push(s);
    push.q_row = turned ? u32(s.q_width()) : u32(l.input(kQ).shape.back());
    if (l.has(kMask)) {
      const AttentionMask mask = AttentionMask::of(l.input(kMask).shape);
      push.mask_head = u32(mask.head_stride);
      push.mask_memory = u32(mask.memory_stride);
    }
    push.piece_first = u32(piece.first);
    push.cache_rows = u32(piece.rows);
    d.push_constants = words_of(push);
    d.specialization = words_of(AttentionPiecesConstants{.lanes = tiles.lanes,
                                                         .causal = s.causal,
                                                         .masked = l.has(kMask),
                                                         .tile = tiles.tile,
                                                         .slots = tiles.slots,
                                                         .q_length = tiles.q_length,
                                                         .own_positions = has_own_positions(l),
                                                         .first = first == 0,
                                                         .last = first + step >= rows});
    d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));
    count_keys(part, s.d + s.dv, d, 1, first);
    l.emit(std::move(d));
  }
  return true;
}

/// How rows go through the keys in tiles of shared memory, where that is tuned so and possible. What it cannot take is
/// done by attention.comp: keys of a table with a column for each row, which share none, and what AttentionTiles names.
std::optional<AttentionTiles> tiles_of(const Lowering& l, const Sizes& s) {
  if (l.tuning().query_tile == 0 || tabled(l) == 1) return std::nullopt;
  return AttentionTiles::of(s, l.caps(), l.tuning().query_tile);
}

/// The same by cooperative matrices.
std::optional<AttentionMatrices> matrices_of(const Lowering& l, const Sizes& s) {
  if (!l.tuning().cooperative_attention || l.tuning().query_tile == 0 || tabled(l) == 1) return std::nullopt;
  return AttentionMatrices::of(s, l.caps(), l.tuning().query_tile, u32(l.attributes().integer("halves", 2)));
}

/// What a dispatch alone knows of them.
template <typename Constants>
void say_kind(const Lowering& l, const Sizes& s, Constants& c) {
  c.cached = l.has(kCacheK);
  c.causal = s.causal;
  c.masked = l.has(kMask);
  c.own_positions = has_own_positions(l);
  c.lengths = l.has(kLengths);
  c.tabled = tabled(l);
}

}  // namespace

void lower_attention(Lowering& l) {
  const bool cached = l.has(kCacheK);
  const auto shape_of = [&](std::size_t i) { return l.has(i) ? &l.input(i).shape : nullptr; };
  Sizes s = AttentionSizes::from(l.attributes(), *shape_of(kQ), shape_of(kK), shape_of(kV), shape_of(kCacheK),
                                 shape_of(kCacheV), shape_of(kTable));
  if (cached && l.input(kCacheK).dtype == DType::F16) s.cache = DType::F16;
  if (s.queries == 0) return;
  const bool own_positions = has_own_positions(l);
  if (cached && own_positions) l.check_indices(kPosition, "position", {s.length}, true);
  if (cached && !own_positions) l.check_indices(kPosition, "position", {s.positions()}, false);
  const bool single_dispatch = is_step(l, s);
  std::optional<Binding> turned;
  if (cached && lower_in_pieces(l, s)) return;
  if (cached && !single_dispatch) turned = prepare(l, s, {0, l.input(kCacheK).shape[0]});

  const bool vectors = s.d % 4 == 0 && s.dv % 4 == 0;
  const View view = vectors ? View::F32x4 : View::F32;
  Binding q = turned ? *turned : l.read(kQ, single_dispatch ? View::F32 : view);
  q.access = Access::Read;
  if (turned) q.view = view;
  Binding keys = cached ? l.update(kCacheK) : l.read(kK, view);
  Binding values = cached ? l.update(kCacheV) : l.read(kV, view);
  keys.access = values.access = Access::Read;
  keys.view = values.view = s.cache == DType::F16 ? View::U32x2 : view;
  const std::uint32_t q_row = turned ? u32(s.q_width()) : u32(l.input(kQ).shape.back());
  std::optional<Rotary> rotary;
  if (single_dispatch && l.attributes().has("rotary_layout")) rotary = Rotary::from(l.attributes(), "rotary_", s.d);

  Dispatch d;
  d.bindings = {q, keys, values, l.read_or(kMask, View::F32, q),
                l.read_or(cached ? kPosition : kLengths, View::I32, q)};
  AttentionPush push = attention_push(s);
  push.q_row = q_row;
  if (l.has(kMask)) {
    const AttentionMask mask = AttentionMask::of(l.input(kMask).shape);
    push.mask_head = u32(mask.head_stride);
    push.mask_memory = u32(mask.memory_stride);
  }
  push.dims = rotary ? u32(rotary->dims) : 0;
  d.push_constants = words_of(push);
  d.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0", cache_variant(s)};
  d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));

  // Behind the output, of the kernels for all kinds of attention.
  const auto bind_general = [&](Dispatch& general) {
    general.bindings.push_back(l.read_or(kTable, View::I32, q));
    general.bindings.push_back(l.read_or(kScoreWeight, view, q));
  };

  if (l.wants_output(1)) {
    Dispatch weights = d;
    weights.shader = "attention_weights";
    count_keys(s, s.d, weights);
    weights.bindings.push_back(l.write(1));
    bind_general(weights);
    const std::uint32_t lanes = l.lanes_within_loops(l.tuning().lanes, [&](std::uint32_t many) {
      const auto elements = static_cast<std::uint64_t>(vectors ? s.d / 4 : s.d);
      return (static_cast<std::uint64_t>(s.length) / many + 1) * (elements + 3) + 2 * Lowering::reduce_iterations(many);
    });
    weights.specialization = words_of(AttentionWeightsConstants{.lanes = lanes,
                                                                .cached = cached,
                                                                .causal = s.causal,
                                                                .masked = l.has(kMask),
                                                                .own_positions = own_positions,
                                                                .tabled = tabled(l),
                                                                .lengths = l.has(kLengths),
                                                                .score = static_cast<std::uint32_t>(s.score)});
    l.emit(std::move(weights));
  }
  if (!l.wants_output(0)) return;
  d.bindings.push_back(l.write(0));
  std::optional<AttentionTiles> shared_tiles;
  std::optional<AttentionMatrices> matrices;
  if (!single_dispatch) matrices = matrices_of(l, s);
  if (!single_dispatch && !matrices) shared_tiles = tiles_of(l, s);
  const std::int64_t passes = matrices ? matrices->blocks : shared_tiles ? shared_tiles->blocks : 1;
  d.bytes = cached ? 0 : static_cast<std::uint64_t>(passes) * (keys.size + values.size);
  count_keys(s, s.d + s.dv, d, passes);
  if (single_dispatch) {
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
      d.shader = "attention_split";
      d.variant = {cache_variant(s)};
      d.bindings.push_back(l.scratch("parts", runs->part_bytes));
      d.bindings.push_back(l.counter(static_cast<std::size_t>(runs->blocks)));
      push.runs = runs->runs;
      d.push_constants = words_of(push);
      runs->constants.masked = l.has(kMask);
      runs->constants.half_split = rotary && rotary->half;
      d.specialization = words_of(runs->constants);
      d.groups = l.spread(static_cast<std::uint64_t>(runs->blocks) * runs->runs);
    } else {
      const KeyTiles tiles = key_tiles(l, s, vectors);
      d.shader = "attention_step";
      d.variant.insert(d.variant.begin() + 2, l.has(kTable) ? "1" : "0");
      // Of GPUs none: some run narrower subgroups than they say.
      if (l.caps().type == DeviceType::Cpu && l.caps().subgroup_arithmetic && l.caps().subgroup_shuffle &&
          tiles.lanes == l.caps().subgroup_size) {
        d.variant[1] = "shuffle";
      }
      if (l.has(kTable)) {
        d.bindings.push_back(l.read(kTable, View::I32));
      }
      d.specialization = words_of(AttentionStepConstants{.lanes = tiles.lanes,
                                                         .masked = l.has(kMask),
                                                         .tile = tiles.tile,
                                                         .slots = tiles.slots,
                                                         .q_length = tiles.q_length,
                                                         .half_split = rotary && rotary->half,
                                                         .heads = u32(s.heads),
                                                         .group_heads = u32(s.heads / s.kv_heads)});
    }
  } else if (matrices) {
    d.shader = "attention_cooperative";
    d.storage_only = true;
    d.subgroup_size = l.caps().subgroup_size;
    d.bindings.push_back(l.read_or(kTable, View::I32, q));
    d.variant = {cache_variant(s)};
    say_kind(l, s, matrices->constants);
    d.specialization = words_of(matrices->constants);
    d.groups = l.spread(static_cast<std::uint64_t>(s.kv_heads * s.memories() * matrices->blocks));
  } else if (shared_tiles) {
    d.shader = "attention_tiles";
    d.bindings.push_back(l.read_or(kTable, View::I32, q));
    d.variant = {cache_variant(s)};
    say_kind(l, s, shared_tiles->constants);
    d.specialization = words_of(shared_tiles->constants);
    d.groups = l.spread(static_cast<std::uint64_t>(s.kv_heads * s.memories() * shared_tiles->blocks));
  } else if (vectors && wants_rows(l, s)) {
    d.shader = "attention_rows";
    d.bindings.push_back(l.read_or(kTable, View::I32, q));
    const bool same_storage = l.tuning().texel && l.tuning().same_storage;
    if (same_storage) d.bindings[1].view = d.bindings[2].view = View::None;
    d.variant = {same_storage ? "storage" : "read", cache_variant(s)};
    const std::uint32_t lanes = l.tuning().lanes;
    d.specialization = words_of(AttentionRowsConstants{.lanes = lanes,
                                                       .cached = cached,
                                                       .causal = s.causal,
                                                       .masked = l.has(kMask),
                                                       .q_length = u32(s.d / 4),
                                                       .v_length = u32(s.dv / 4),
                                                       .keys_at_a_time = std::max(s.d, s.dv) <= 64 ? 4u : 2u,
                                                       .own_positions = own_positions,
                                                       .lengths = l.has(kLengths),
                                                       .tabled = tabled(l)});
    d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.memories()) * ceil_div(u32(s.memory_rows), lanes));
  } else {
    const KeyTiles tiles = key_tiles(l, s, vectors);
    d.shader = "attention";
    bind_general(d);
    d.specialization = words_of(AttentionConstants{.lanes = tiles.lanes,
                                                   .cached = cached,
                                                   .causal = s.causal,
                                                   .masked = l.has(kMask),
                                                   .tile = tiles.tile,
                                                   .slots = tiles.slots,
                                                   .q_length = tiles.q_length,
                                                   .own_positions = own_positions,
                                                   .tabled = tabled(l),
                                                   .lengths = l.has(kLengths),
                                                   .score = static_cast<std::uint32_t>(s.score)});
  }
  l.emit(std::move(d));
}

}  // namespace heed::ops
