// How keys and values enter the caches of attention, one dispatch of shaders/attention_prepare.comp, and how attention
// goes through caches that are larger than a device binds: attention_pieces.comp, a piece at a time.
#include <algorithm>
#include <numeric>
#include <optional>

#include "constants/attention_pieces.h"
#include "constants/attention_prepare.h"
#include "graph/integer.h"
#include "ops/attention_lower.h"
#include "ops/rotary.h"

namespace heed::ops {
namespace {

using namespace attention_input;  // NOLINT: names of inputs

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

/// Rows of a cache that a device binds at a time, of keys and values alike: pieces begin where bindings may.
std::int64_t rows_of_pieces(const Lowering& l, const AttentionSizes& s) {
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

}  // namespace

std::optional<Binding> enter_cache(Lowering& l, const AttentionSizes& s, const CachePiece& piece,
                                   const std::optional<Binding>& turned_before) {
  const bool turns = l.attributes().has("rotary_layout");
  const Rotary rotary = turns ? Rotary::from(l.attributes(), "rotary_", s.d) : Rotary();
  const std::int64_t pairs = s.d % 8 == 0 && s.dv % 8 == 0 && rotary.dims % 8 == 0 ? 4 : 1;  // of an invocation
  const View view = pairs == 4 ? View::F32x4 : View::F32;
  const Binding first = l.read(kQ, view);
  const std::uint32_t row_width = u32(l.input(0).shape[1]);
  Dispatch d;
  d.shader = "attention_prepare";
  Binding table = turns ? rotary.table(l, s.length) : first;
  table.view = view;
  const bool turns_q = turns && piece.first == 0;
  const Binding turned = turns_q ? l.scratch("q", static_cast<std::uint64_t>(s.queries * s.q_width()) * 4)
                         : turns ? *turned_before
                                 : bind_piece(l, kCacheK, piece);
  Binding q_out = turned;
  q_out.access = turns ? Access::Write : Access::ReadWrite;
  d.bindings = {first,
                s.packed ? first : l.read(kK, view),
                s.packed ? first : l.read(kV, view),
                l.read(kPosition, View::I32),
                table,
                q_out,
                bind_piece(l, kCacheK, piece),
                bind_piece(l, kCacheV, piece)};
  d.variant = {!l.has(kTable) ? "0" : turns ? "2" : "1", cache_variant(s), pairs == 4 ? "4" : "1"};
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
  const std::int64_t of_row =
      ((turns_q ? s.heads : 0) + s.kv_heads) * ceil_div(s.d, 2 * pairs) + s.kv_heads * ceil_div(s.dv, 2 * pairs);
  d.groups = l.spread(ceil_div(u64(s.queries * of_row), lanes));
  l.emit(std::move(d));
  if (!turns) return std::nullopt;
  return turned;
}

bool lower_in_pieces(Lowering& l, const AttentionSizes& s) {
  const std::int64_t rows = l.input(kCacheK).shape[0];
  const std::int64_t step = rows_of_pieces(l, s);
  if (step == rows || step == 0 || l.has(kTable) || l.wants_output(1) || s.score != AttentionScore::Dot) return false;
  const bool vectors = has_vector_heads(s);
  const View view = vectors ? View::F32x4 : View::F32;
  std::optional<Binding> turned;
  for (std::int64_t first = 0; first < rows; first += step) {
    turned = enter_cache(l, s, {first, std::min(step, rows - first)}, turned);
  }
  if (!l.wants_output(0)) return true;
  Binding q = turned ? *turned : l.read(kQ, view);
  q.access = Access::Read;
  q.view = view;
  const Binding carried = l.scratch("carried", saturating_product({u64(s.queries), u64(s.heads), u64(s.dv + 2), 4}));
  for (std::int64_t first = 0; first < rows; first += step) {
    const CachePiece piece{first, std::min(step, rows - first)};
    AttentionSizes part = s;
    part.length = piece.rows;
    const AttentionPass pass = AttentionPass::of(l, part);
    Dispatch d;
    d.shader = "attention_pieces";
    d.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0", cache_variant(s)};
    Binding keys = bind_piece(l, kCacheK, piece);
    Binding values = bind_piece(l, kCacheV, piece);
    keys.access = values.access = Access::Read;
    keys.view = values.view = s.cache == DType::F16 ? View::U32x2 : view;
    d.bindings = {q, keys, values, l.read_or(kMask, View::F32, q), l.read(kPosition, View::I32), l.write(0), carried};
    AttentionPush push = attention_push(l, s);
    if (turned) push.q_row = u32(s.q_width());
    push.piece_first = u32(piece.first);
    push.cache_rows = u32(piece.rows);
    d.push_constants = words_of(push);
    d.specialization = words_of(AttentionPiecesConstants{.lanes = pass.lanes,
                                                         .causal = s.causal,
                                                         .masked = l.has(kMask),
                                                         .tile = pass.tile,
                                                         .slots = pass.slots,
                                                         .q_length = pass.q_length,
                                                         .own_positions = has_own_positions(l),
                                                         .first = first == 0,
                                                         .last = first + step >= rows});
    d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));
    count_keys(part, s.d + s.dv, d, 1, first);
    l.emit(std::move(d));
  }
  return true;
}

}  // namespace heed::ops
