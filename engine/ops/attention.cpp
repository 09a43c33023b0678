// op attention: y = softmax(scale q k^T + mask) v for every head (Vaswani et al. 2017), grouped-query and multi-query
// as the general case: head h attends with key/value head h / (heads / kv_heads).
//
// inputs: q [T, H*d], k [S, KVH*d], v [S, KVH*dv], mask [T, L] or [H, T, L]?, cache_k [C, KVH*d]?, cache_v [C,
// KVH*dv]?, position [1] i32?. With a cache (states, together with position) rows of k and v enter it at position + row
// first, S is T, and a query attends to the cache's first position + T rows; L is C. Without one L is S. outputs: y [T,
// H*dv]; weights [H, T, L]? (zeros where a key is masked or absent). attributes: heads, kv_heads, scale (default
// 1/sqrt(d)), causal (query at p sees keys up to p), window (0, or how many keys up to its own a query sees), softcap
// (0, or c in c tanh(score / c)). The mask is added to the scores; -infinity (anything below -1e30) drops a key. A
// query with no key at all yields zeros. By fusion: packed (input 0 holds q, k, v side by side), rotary_* (q and k are
// turned here).
#include "ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "constants/attention.h"
#include "constants/attention_prepare.h"
#include "constants/attention_push.h"
#include "constants/attention_rows.h"
#include "constants/attention_step.h"
#include "constants/attention_weights.h"
#include "graph/integer.h"
#include "ops/op.h"
#include "ops/rotary.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

using Sizes = AttentionSizes;

constexpr double kMasked = -1e30;  // scores at and below are dropped

std::vector<TensorType> infer(const InferContext& c) {
  const Attributes& a = c.node.attributes;
  c.expect_only(7, {"heads", "kv_heads", "scale", "causal", "window", "softcap", "packed", "rotary_layout",
                    "rotary_base", "rotary_dims", "rotary_freq_factors"});
  const bool cached = c.has(4) || c.has(5) || c.has(6);
  const bool packed = a.integer("packed", 0) != 0;
  c.expect_rank(0, 2, "q");
  if (cached != (c.has(4) && c.has(5) && c.has(6))) c.fail("a cache needs cache_k, cache_v and position together");
  if (packed && !cached) c.fail("packed needs a cache");
  if (packed && (c.has(1) || c.has(2))) c.fail("packed has k and v in input 0, not beside it");
  if (!packed) {
    c.expect_rank(1, 2, "k");
    c.expect_rank(2, 2, "v");
  }
  const std::int64_t heads = a.integer("heads");
  const std::int64_t kv_heads = a.integer("kv_heads", heads);
  if (heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0) {
    c.fail(fmt::format("{} heads do not share {} key/value heads evenly", heads, kv_heads));
  }
  for (const std::size_t i : cached ? std::vector<std::size_t>{4, 5} : std::vector<std::size_t>{1, 2}) {
    c.expect_rank(i, 2, "keys or values");
    if (c.input(i).shape[1] % kv_heads != 0 || c.input(i).shape[1] == 0) {
      c.fail(fmt::format("a width of {} is not made of {} heads", c.input(i).shape[1], kv_heads));
    }
  }
  const Sizes s = AttentionSizes::from(a, c.input(0).shape, c.has(1) ? &c.input(1).shape : nullptr,
                                       c.has(2) ? &c.input(2).shape : nullptr, cached ? &c.input(4).shape : nullptr,
                                       cached ? &c.input(5).shape : nullptr);
  const std::int64_t rows = s.queries;
  c.expect_shape(0, {rows, packed ? s.q_width() + s.k_width() + s.v_width() : s.q_width()}, "q");
  if (!packed) {
    const std::int64_t key_rows = cached ? rows : s.length;
    c.expect_shape(1, {key_rows, s.k_width()}, "k");
    c.expect_shape(2, {key_rows, s.v_width()}, "v");
  }
  if (cached) {
    c.expect_shape(5, {s.length, s.v_width()}, "cache_v");
    c.expect_shape(6, {1}, "position");
    if (rows > s.length) c.fail(fmt::format("{} rows do not fit a cache of {}", rows, s.length));
  }
  if (c.has(3) && c.input(3).shape != Shape{rows, s.length} && c.input(3).shape != Shape{s.heads, rows, s.length}) {
    c.fail(fmt::format("mask is {}, expected [{}, {}] or [{}, {}, {}]", to_string(c.input(3).shape), rows, s.length,
                       s.heads, rows, s.length));
  }
  if (s.window < 0) c.fail(fmt::format("window {} is negative", s.window));
  constexpr std::string_view kNames[] = {"q", "k", "v", "the mask", "cache_k", "cache_v"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (c.has(i)) c.expect_floats(i, kNames[i]);
  }
  if (cached) c.expect_integers(6, "position");
  if (a.has("rotary_layout") || a.has("rotary_base") || a.has("rotary_dims") || a.has("rotary_freq_factors")) {
    if (!cached) c.fail("rotary needs a cache");
    Rotary::from(a, "rotary_", s.d);
  }
  return {{DType::F32, {rows, s.heads * s.dv}}, {DType::F32, {s.heads, rows, s.length}}};
}

void reference(const ReferenceContext& c) {
  const bool cached = c.has(4);
  const Sizes s = AttentionSizes::from(c.node.attributes, c.shape(0), c.has(1) ? &c.shape(1) : nullptr,
                                       c.has(2) ? &c.shape(2) : nullptr, cached ? &c.shape(4) : nullptr,
                                       cached ? &c.shape(5) : nullptr);
  const std::int64_t position = cached ? c.position(6) : 0;
  if (cached) c.index(6, 0, s.positions(), false, "position");
  std::vector<double> q = c.in(0);
  std::vector<double> k = c.has(1) ? c.in(1) : std::vector<double>();
  std::vector<double> v = c.has(2) ? c.in(2) : std::vector<double>();
  if (s.packed) {
    const std::int64_t row_width = c.shape(0)[1];
    q.clear();
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const auto row = c.in(0).begin() + t * row_width;
      q.insert(q.end(), row, row + s.q_width());
      k.insert(k.end(), row + s.q_width(), row + s.q_width() + s.k_width());
      v.insert(v.end(), row + s.q_width() + s.k_width(), row + row_width);
    }
  }
  if (c.node.attributes.has("rotary_layout")) {
    const Rotary rotary = Rotary::from(c.node.attributes, "rotary_", s.d);
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const auto at = static_cast<double>(position + t);
      for (std::int64_t h = 0; h < s.heads; ++h) rotary.turn(q.data() + (t * s.heads + h) * s.d, at);
      for (std::int64_t h = 0; h < s.kv_heads; ++h) rotary.turn(k.data() + (t * s.kv_heads + h) * s.d, at);
    }
  }
  std::int64_t known = s.length;  // keys that exist
  if (cached) {
    known = position + s.queries;
    for (std::int64_t t = 0; t < s.queries; ++t) {
      std::copy_n(k.begin() + t * s.k_width(), s.k_width(), c.inputs[4]->data.begin() + (position + t) * s.k_width());
      std::copy_n(v.begin() + t * s.v_width(), s.v_width(), c.inputs[5]->data.begin() + (position + t) * s.v_width());
    }
  }
  const std::vector<double>& keys = cached ? c.inputs[4]->data : k;
  const std::vector<double>& values = cached ? c.inputs[5]->data : v;
  const bool per_head = c.has(3) && c.shape(3).size() == 3;
  std::vector<double> weights(static_cast<std::size_t>(s.length));
  for (std::int64_t h = 0; h < s.heads; ++h) {
    const std::int64_t kvh = h / (s.heads / s.kv_heads);
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const std::int64_t at = position + t;
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t j = 0; j < s.length; ++j) {
        double& score = weights[static_cast<std::size_t>(j)];
        score = kMasked;
        if (j >= known || (s.causal && j > at) || (s.window > 0 && j + s.window <= at)) continue;
        score = 0.0;
        for (std::int64_t e = 0; e < s.d; ++e) {
          score += q[static_cast<std::size_t>((t * s.heads + h) * s.d + e)] *
                   keys[static_cast<std::size_t>((j * s.kv_heads + kvh) * s.d + e)];
        }
        score *= s.scale;
        if (s.softcap > 0.0) score = s.softcap * std::tanh(score / s.softcap);
        if (c.has(3)) score += c.in(3)[static_cast<std::size_t>(((per_head ? h : 0) * s.queries + t) * s.length + j)];
        if (score > kMasked) largest = std::max(largest, score);
      }
      double sum = 0.0;
      // A score that is NaN is not dropped: it breaks the row, where it is seen.
      for (double& w : weights) sum += w = w <= kMasked ? 0.0 : std::exp(w - largest);
      for (double& w : weights) w = sum == 0.0 ? 0.0 : w / sum;
      for (std::int64_t e = 0; e < s.dv; ++e) {
        double y = 0.0;
        for (std::int64_t j = 0; j < s.length; ++j) {
          const double w = weights[static_cast<std::size_t>(j)];
          if (w != 0.0) y += w * values[static_cast<std::size_t>((j * s.kv_heads + kvh) * s.dv + e)];
        }
        c.out(0)[static_cast<std::size_t>((t * s.heads + h) * s.dv + e)] = y;
      }
      if (c.outputs.size() > 1 && c.outputs[1] != nullptr) {
        std::copy(weights.begin(), weights.end(), c.out(1).begin() + (h * s.queries + t) * s.length);
      }
    }
  }
}

/// Rows of k and v enter the cache and q and k are turned. Returns the turned q, where there was anything to turn.
std::optional<Binding> prepare(Lowering& l, const Sizes& s) {
  const bool turns = l.attributes().has("rotary_layout");
  const Binding first = l.read(0, View::F32);
  const std::uint32_t row_width = u32(l.input(0).shape[1]);
  Dispatch d;
  d.shader = "attention_prepare";
  Binding table = first;
  Rotary rotary;
  if (turns) {
    rotary = Rotary::from(l.attributes(), "rotary_", s.d);
    table = rotary.table(l, s.length);
  }
  const Binding turned = turns ? l.scratch("q", static_cast<std::uint64_t>(s.queries * s.q_width()) * 4) : l.update(4);
  Binding q_out = turned;
  q_out.access = turns ? Access::Write : Access::ReadWrite;
  d.bindings = {first,
                s.packed ? first : l.read(1, View::F32),
                s.packed ? first : l.read(2, View::F32),
                l.read(6, View::I32),
                table,
                q_out,
                l.update(4),
                l.update(5)};
  d.push_constants = words_of(AttentionPreparePush{
      .rows = u32(s.queries),
      .heads = turns ? u32(s.heads) : 0,
      .kv_heads = u32(s.kv_heads),
      .head_dim = u32(s.d),
      .value_dim = u32(s.dv),
      .cache_rows = u32(s.length),
      .dims = u32(rotary.dims),
      .q_row = row_width,
      .k_row = s.packed ? row_width : u32(s.k_width()),
      .v_row = s.packed ? row_width : u32(s.v_width()),
      .k_first = s.packed ? u32(s.q_width()) : 0,
      .v_first = s.packed ? u32(s.q_width() + s.k_width()) : 0,
  });
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = words_of(AttentionPrepareConstants{.lanes = lanes, .half_split = rotary.half});
  const std::uint64_t pairs = static_cast<std::uint64_t>(s.queries) *
                              static_cast<std::uint64_t>(((turns ? s.heads : 0) + s.kv_heads) * ceil_div(s.d, 2) +
                                                         s.kv_heads * ceil_div(s.dv, 2));
  d.groups = l.spread(ceil_div(pairs, lanes));
  l.emit(std::move(d));
  if (!turns) return std::nullopt;
  return turned;
}

constexpr std::uint32_t kStepBindings = 11;  // of attention_step.comp

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
  tiles.lanes = l.lanes_within_loops([&](std::uint32_t many) { return attention_iterations(s, vectors, many); });
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

/// Whether lanes had better be query rows than keys: where lanes with rows of their own are faster, there are enough
/// rows, and a head fits registers.
bool wants_rows(const Lowering& l, const Sizes& s) {
  constexpr std::int64_t kWidestHead = 128;
  return l.tuning().lane_rows && s.queries >= 4 && s.d <= kWidestHead && s.dv <= kWidestHead &&
         static_cast<std::uint64_t>(s.length) < l.caps().max_loop_iterations;
}

void lower(Lowering& l) {
  const bool cached = l.has(4);
  const Sizes s = AttentionSizes::from(l.attributes(), l.input(0).shape, l.has(1) ? &l.input(1).shape : nullptr,
                                       l.has(2) ? &l.input(2).shape : nullptr, cached ? &l.input(4).shape : nullptr,
                                       cached ? &l.input(5).shape : nullptr);
  if (s.queries == 0) return;
  if (cached) l.check_indices(6, "position", {s.positions()}, false);
  const bool single_dispatch =
      cached && s.queries == 1 && !l.wants_output(1) && l.caps().max_storage_buffers >= kStepBindings;
  std::optional<Binding> turned;
  if (cached && !single_dispatch) turned = prepare(l, s);

  const bool vectors = s.d % 4 == 0 && s.dv % 4 == 0;
  const View view = vectors ? View::F32x4 : View::F32;
  Binding q = turned ? *turned : l.read(0, single_dispatch ? View::F32 : view);
  q.access = Access::Read;
  if (turned) q.view = view;
  Binding keys = cached ? l.update(4) : l.read(1, view);
  Binding values = cached ? l.update(5) : l.read(2, view);
  keys.access = values.access = Access::Read;
  keys.view = values.view = view;
  const std::uint32_t q_row = turned ? u32(s.q_width()) : u32(l.input(0).shape[1]);
  std::optional<Rotary> rotary;
  if (single_dispatch && l.attributes().has("rotary_layout")) rotary = Rotary::from(l.attributes(), "rotary_", s.d);

  Dispatch d;
  d.bindings = {q, keys, values, l.read_or(3, View::F32, q), l.read_or(6, View::I32, q)};
  AttentionPush push = attention_push(s);
  push.q_row = q_row;
  push.mask_heads = l.has(3) && l.input(3).shape.size() == 3;
  push.dims = rotary ? u32(rotary->dims) : 0;
  d.push_constants = words_of(push);
  d.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0"};
  d.groups = l.spread(static_cast<std::uint64_t>(s.heads * s.queries));

  if (l.wants_output(1)) {
    Dispatch weights = d;
    weights.shader = "attention_weights";
    count_keys(s, s.d, weights);
    weights.bindings.push_back(l.write(1));
    const std::uint32_t lanes = l.lanes_within_loops([&](std::uint32_t many) {
      const auto elements = static_cast<std::uint64_t>(vectors ? s.d / 4 : s.d);
      return (static_cast<std::uint64_t>(s.length) / many + 1) * (elements + 3) + 2 * Lowering::reduce_iterations(many);
    });
    weights.specialization =
        words_of(AttentionWeightsConstants{.lanes = lanes, .cached = cached, .causal = s.causal, .masked = l.has(3)});
    l.emit(std::move(weights));
  }
  if (!l.wants_output(0)) return;
  d.bindings.push_back(l.write(0));
  d.bytes = cached ? 0 : keys.size + values.size;
  count_keys(s, s.d + s.dv, d);
  if (single_dispatch) {
    const KeyTiles tiles = key_tiles(l, s, vectors);
    d.shader = "attention_step";
    Binding write_k = l.update(4);
    Binding write_v = l.update(5);
    write_k.access = write_v.access = Access::Write;
    d.bindings.push_back(s.packed ? q : l.read(1, View::F32));
    d.bindings.push_back(s.packed ? q : l.read(2, View::F32));
    d.bindings.push_back(rotary ? rotary->table(l, s.length) : q);
    d.bindings.push_back(write_k);
    d.bindings.push_back(write_v);
    d.specialization = words_of(AttentionStepConstants{.lanes = tiles.lanes,
                                                       .masked = l.has(3),
                                                       .tile = tiles.tile,
                                                       .slots = tiles.slots,
                                                       .q_length = tiles.q_length,
                                                       .half_split = rotary && rotary->half});
  } else if (vectors && wants_rows(l, s)) {
    d.shader = "attention_rows";
    const bool same_storage = l.tuning().texel && l.tuning().same_storage;
    if (same_storage) d.bindings[1].view = d.bindings[2].view = View::None;
    d.variant = {same_storage ? "storage" : "read"};
    const std::uint32_t lanes = l.tuning().lanes;
    d.specialization = words_of(AttentionRowsConstants{.lanes = lanes,
                                                       .cached = cached,
                                                       .causal = s.causal,
                                                       .masked = l.has(3),
                                                       .q_length = u32(s.d / 4),
                                                       .v_length = u32(s.dv / 4),
                                                       .keys_at_a_time = std::max(s.d, s.dv) <= 64 ? 4u : 2u});
    d.groups = l.spread(static_cast<std::uint64_t>(s.heads) * ceil_div(u32(s.queries), lanes));
  } else {
    const KeyTiles tiles = key_tiles(l, s, vectors);
    d.shader = "attention";
    d.specialization = words_of(AttentionConstants{.lanes = tiles.lanes,
                                                   .cached = cached,
                                                   .causal = s.causal,
                                                   .masked = l.has(3),
                                                   .tile = tiles.tile,
                                                   .slots = tiles.slots,
                                                   .q_length = tiles.q_length});
  }
  l.emit(std::move(d));
}

}  // namespace

AttentionPush attention_push(const AttentionSizes& s) {
  return {.rows = u32(s.queries),
          .heads = u32(s.heads),
          .kv_heads = u32(s.kv_heads),
          .head_dim = u32(s.d),
          .value_dim = u32(s.dv),
          .key_rows = u32(s.length),
          .q_row = 0,
          .window = u32(s.window),
          .scale = static_cast<float>(s.scale),
          .softcap = static_cast<float>(s.softcap),
          .mask_heads = 0,
          .k_first = s.packed ? u32(s.q_width()) : 0,
          .v_first = s.packed ? u32(s.q_width() + s.k_width()) : 0,
          .dims = 0};
}

void count_keys(const AttentionSizes& s, std::int64_t products, Dispatch& d) {
  const auto size = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  const std::uint64_t each = saturating_product({2, size(s.queries), size(s.heads), size(products)});
  const std::uint64_t sure = saturating_product({each, size(s.cached ? s.queries : s.length)});
  d.flops = saturating_sum(d.flops, sure);
  if (!s.cached) return;
  d.flops_a_key = each;
  d.bytes_a_key = size(s.k_width() + s.v_width()) * 4;
  d.fewest_keys = size(s.queries);
  d.most_keys = size(s.length);
}

AttentionSizes AttentionSizes::from(const Attributes& a, const Shape& q, const Shape* k, const Shape* v,
                                    const Shape* cache_k, const Shape* cache_v) {
  AttentionSizes s{};
  s.heads = a.integer("heads");
  s.kv_heads = a.integer("kv_heads", s.heads);
  s.packed = a.integer("packed", 0) != 0;
  s.cached = cache_k != nullptr;
  s.queries = q[0];
  const Shape& keys = s.cached ? *cache_k : *k;
  const Shape& values = s.cached ? *cache_v : *v;
  s.d = keys[1] / s.kv_heads;
  s.dv = values[1] / s.kv_heads;
  s.length = keys[0];
  s.scale = a.real("scale", 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, s.d))));
  s.softcap = a.real("softcap", 0.0);
  s.causal = a.integer("causal", 0) != 0;
  s.window = a.integer("window", 0);
  // So many keys up to its own are all there are.
  if (s.window > std::max(s.length, s.queries)) s.window = 0;
  return s;
}

std::uint32_t attention_tile(std::uint32_t lanes) { return std::max(lanes, 128u); }

std::uint64_t attention_iterations(const AttentionSizes& s, bool vectors, std::uint32_t lanes) {
  const auto value_elements = static_cast<std::uint64_t>(vectors ? s.dv / 4 : s.dv);
  const auto elements = static_cast<std::uint64_t>(vectors ? s.d / 4 : s.d);
  const std::uint64_t tile = attention_tile(lanes);
  const std::uint64_t tiles = ceil_div(static_cast<std::uint64_t>(s.length), tile);
  return tiles * (ceil_div(tile, lanes) * (elements + 2) + ceil_div(value_elements, lanes) * (tile + 1) +
                  2 * Lowering::reduce_iterations(lanes) + 1) +
         2 * elements + 2 * value_elements + Lowering::reduce_iterations(lanes);
}

std::uint64_t attention_shared(const AttentionSizes& s, std::uint32_t lanes) {
  return (attention_tile(lanes) + lanes) * 4 + 2 * static_cast<std::uint64_t>(s.d) * 4;
}

extern const Op op_attention;
const Op op_attention = {{"attention"}, infer, reference, lower, {}, {}, {4, 5}};

}  // namespace heed::ops
