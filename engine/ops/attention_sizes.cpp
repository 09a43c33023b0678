#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "graph/convert_dtype.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

AttentionScore score_named(const std::string& name) {
  constexpr std::pair<std::string_view, AttentionScore> kNames[] = {{"dot", AttentionScore::Dot},
                                                                    {"additive", AttentionScore::Additive},
                                                                    {"cosine", AttentionScore::Cosine},
                                                                    {"distance", AttentionScore::Distance}};
  for (const auto& [known, score] : kNames) {
    if (name == known) return score;
  }
  throw Error(fmt::format("score '{}' is none of dot, additive, cosine and distance", name));
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
          .query_rows = u32(s.query_rows),
          .memory_rows = u32(s.memory_rows),
          .mask_head = 0,
          .mask_memory = 0,
          .k_first = s.packed ? u32(s.q_width()) : 0,
          .v_first = s.packed ? u32(s.q_width() + s.k_width()) : 0,
          .dims = 0,
          .runs = 0,
          .piece_first = 0,
          .cache_rows = u32(s.cache_rows),
          .block_shift = s.block_shift()};
}

void count_keys(const AttentionSizes& s, std::int64_t products, Dispatch& d, std::int64_t passes,
                std::int64_t first_key) {
  const auto size = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  const std::uint64_t each = saturating_product({2, size(s.queries), size(s.heads), size(products)});
  const std::int64_t end = first_key + s.length;
  // Of a cache those that the queries bring with them.
  const std::int64_t fewest = s.cached ? std::clamp(s.queries, first_key, end) : end;
  d.flops = saturating_sum(d.flops, saturating_product({each, size(fewest - first_key)}));
  if (!s.cached) return;
  d.flops_a_key = each;
  d.bytes_a_key = saturating_product(
      {size(passes), size(s.k_width() + s.v_width()), device_element_bytes(ValueKind::State, s.cache)});
  d.first_key = size(first_key);
  d.fewest_keys = size(fewest);
  d.most_keys = size(end);
}

double cached_as(DType cache, double value) {
  if (cache != DType::F16) return value;
  constexpr float kTooLarge = 65520.0f;  // what rounds to infinity, from here on
  const auto number = static_cast<float>(value);
  return std::abs(number) < kTooLarge ? f16_to_f32(f32_to_f16(number)) : std::numeric_limits<double>::quiet_NaN();
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
  // Scores and places of a tile, what lanes add up, and q and the newest key.
  return (2 * attention_tile(lanes) + lanes) * 4 + 2 * static_cast<std::uint64_t>(s.d) * 4;
}

AttentionSizes AttentionSizes::from(const Attributes& a, const Shape& q, const Shape* k, const Shape* v,
                                    const Shape* cache_k, const Shape* cache_v, const Shape* table) {
  AttentionSizes s{};
  s.heads = a.integer("heads");
  s.kv_heads = a.integer("kv_heads", s.heads);
  s.packed = a.integer("packed", 0) != 0;
  s.cached = cache_k != nullptr;
  s.by_head = a.integer("by_head", 0) != 0;
  s.cache_rows = s.cached ? (*cache_k)[0] : 0;
  s.queries = q.size() == 3 ? q[0] * q[1] : q[0];
  s.query_rows = q.size() == 3 ? q[1] : q[0];
  const Shape& keys = s.cached ? *cache_k : *k;
  const Shape& values = s.cached ? *cache_v : *v;
  const bool memories = !s.cached && keys.size() == 3;
  s.memory_rows = memories && keys[0] > 0 ? s.queries / keys[0] : s.queries;
  s.d = keys.back() / s.kv_heads;
  s.dv = values.back() / s.kv_heads;
  s.length = table != nullptr ? (*table)[0] : memories ? keys[1] : keys[0];
  s.score = score_named(a.text("score", "dot"));
  const double dot_scale = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, s.d)));
  s.scale = a.real("scale", s.score == AttentionScore::Dot ? dot_scale : 1.0);
  s.softcap = a.real("softcap", 0.0);
  s.causal = a.integer("causal", 0) != 0;
  s.window = a.integer("window", 0);
  // A window as long as all keys hides none.
  if (s.window > std::max(s.length, s.query_rows)) s.window = 0;
  return s;
}

AttentionMask AttentionMask::of(const Shape& mask) {
  const std::size_t rank = mask.size();
  const std::int64_t plane = mask[rank - 2] * mask[rank - 1];
  AttentionMask strides;
  if (rank >= 3 && mask[rank - 3] > 1) strides.head_stride = plane;
  if (rank == 4 && mask[0] > 1) strides.memory_stride = mask[1] * plane;
  return strides;
}

}  // namespace heed::ops
