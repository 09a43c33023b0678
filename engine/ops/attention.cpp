// op attention: y = softmax(scale score(q, k) + mask) v for every head (Vaswani et al. 2017), grouped-query and
// multi-query as the general case: head h attends with key/value head h / (heads / kv_heads).
//
// inputs: q [T, H*d] or [B, T, H*d]; k [S, KVH*d], v [S, KVH*dv], or B memories of them, k [B, S, KVH*d] and v [B, S,
// KVH*dv]: block b of q sees memory b, and of q [T, H*d] row t sees memory t / (T / B). mask? [T, L], [H, T, L], or [B
// or 1, H or 1, T, L], added to the scores; -infinity (anything below -1e30) drops a key. cache_k [C, KVH*d]?, cache_v
// [C, KVH*dv]?, position? i32: with a cache (states, together with position) rows of k and v enter it first, S is T,
// and a query attends to what is in there. position [1] is that of the first row, and a query attends to the first
// position + T rows; position [T] is each row's own, and a query attends up to that, a row at -1 to nothing. lengths
// [B] i32?, without a cache: memory b has so many keys. table [P, T] i32?, with a cache: the key of position p of row t
// lies in row table[p, t] of the cache; table [P, 1]: rows of one sequence, that of position p of all of them in
// table[p, 0]. score_weight [H*d]? of score additive. L is S, C, or P. Caches may be f16 where d and dv are multiples
// of four: keys and values are rounded when they enter, also for the query of that very row, and what is too large for
// f16 (from 65520 on) enters as NaN.
//
// outputs: y [.., H*dv] like q; weights? [H, T, L], or [B, H, T, L] (zeros where a key is masked or absent). A query
// with no key at all yields zeros.
//
// attributes: heads, kv_heads, scale, causal (query at p sees keys up to p), window (0, or how many keys up to its own
// a query sees), apart (with a table: no row sees the newest key of another, as those of sequences of their own do not;
// it is not checked), softcap (0, or c in c tanh(score / c)), by_head (caches lie by head: of each 64 rows, or of the
// fewer at the end, first those of head 0, then those of head 1; a table's caches have whole blocks of 64). score: dot
// (the default, with scale 1/sqrt(d) where none is given; 1 for the others), additive: sum of score_weight tanh(q + k)
// (Bahdanau et al. 2015, q and k projected before), cosine: q k / max(|q| |k|, 1e-8), distance: -|q - k|. By fusion:
// packed (input 0 holds q, k, v side by side), rotary_* (q and k are turned here).
#include "ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/op.h"
#include "ops/rotary.h"

namespace heed::ops {
namespace {

using Sizes = AttentionSizes;
using namespace attention_input;  // NOLINT: names of inputs

constexpr double kMasked = -1e30;  // scores at and below are dropped

/// The shapes of a node's inputs as AttentionSizes wants them.
template <typename ShapeOf>
Sizes sizes_of(const Attributes& attributes, const ShapeOf& shape_of) {
  return AttentionSizes::from(attributes, *shape_of(kQ), shape_of(kK), shape_of(kV), shape_of(kCacheK),
                              shape_of(kCacheV), shape_of(kTable));
}

Sizes sizes_of(const InferContext& c) {
  return sizes_of(c.node.attributes, [&](std::size_t i) { return c.has(i) ? &c.input(i).shape : nullptr; });
}

void check_ranks(const InferContext& c, bool cached, bool packed) {
  const std::size_t q_rank = c.input(kQ).shape.size();
  if (q_rank != 2 && (q_rank != 3 || cached)) c.expect_rank(kQ, 2, "q");
  if (!packed) {
    const std::size_t rank = c.input(kK).shape.size();
    if (rank != 2 && (rank != 3 || cached)) c.expect_rank(kK, 2, "k");
    c.expect_rank(kV, rank, "v");
    if (q_rank == 3) c.expect_rank(kK, 3, "k");
  }
}

void check_mask(const InferContext& c, const Sizes& s) {
  const Shape& mask = c.input(kMask).shape;
  const std::int64_t rows = s.query_rows;
  bool fits = mask == Shape{rows, s.length} || mask == Shape{s.heads, rows, s.length};
  if (mask.size() == 4) {
    fits = (mask[0] == 1 || mask[0] == s.memories()) && (mask[1] == 1 || mask[1] == s.heads) && mask[2] == rows &&
           mask[3] == s.length;
  }
  if (fits) return;
  const std::string expected = mask.size() == 4
                                   ? fmt::format("[1 or {}, 1 or {}, {}, {}]", s.memories(), s.heads, rows, s.length)
                                   : fmt::format("[{}, {}] or [{}, {}, {}]", rows, s.length, s.heads, rows, s.length);
  c.fail(fmt::format("mask is {}, expected {}", to_string(mask), expected));
}

void check_cache_types(const InferContext& c, const Sizes& s) {
  const DType k = c.input(kCacheK).dtype;
  const DType v = c.input(kCacheV).dtype;
  if ((k == DType::F16) != (v == DType::F16)) {
    c.fail(fmt::format("cache_k is {} and cache_v is {}, expected one type", dtype_name(k), dtype_name(v)));
  }
  if (k == DType::F16 && !fits_f16_cache(s.d, s.dv)) {
    c.fail(fmt::format("caches of f16 need heads of a multiple of four elements, not {} and {}", s.d, s.dv));
  }
}

std::vector<TensorType> infer(const InferContext& c) {
  const Attributes& a = c.node.attributes;
  c.expect_only(10, {"heads", "kv_heads", "scale", "causal", "window", "apart", "by_head", "softcap", "score", "packed",
                     "rotary_layout", "rotary_base", "rotary_dims", "rotary_freq_factors", "rotary_scale", "halves"});
  if (const std::int64_t halves = a.integer("halves", 2); halves != 1 && halves != 2) {
    c.fail(fmt::format("halves is {}, expected 1 or 2", halves));
  }
  const bool cached = c.has(kCacheK) || c.has(kCacheV) || c.has(kPosition);
  const bool packed = a.integer("packed", 0) != 0;
  if (cached != (c.has(kCacheK) && c.has(kCacheV) && c.has(kPosition))) {
    c.fail("a cache needs cache_k, cache_v and position together");
  }
  if (packed && !cached) c.fail("packed needs a cache");
  if (packed && (c.has(kK) || c.has(kV))) c.fail("packed has k and v in input 0, not beside it");
  if (c.has(kTable) && !cached) c.fail("a table needs a cache");
  const bool apart = a.integer("apart", 0) != 0;
  if (apart && !c.has(kTable)) c.fail("rows that are apart need a table");
  const bool by_head = a.integer("by_head", 0) != 0;
  if (by_head && !cached) c.fail("only a cache lies by head");
  if (c.has(kLengths) && cached) c.fail("lengths are of keys that are not in a cache");
  check_ranks(c, cached, packed);
  const std::int64_t heads = a.integer("heads");
  const std::int64_t kv_heads = a.integer("kv_heads", heads);
  if (heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0) {
    c.fail(fmt::format("{} heads do not share {} key/value heads evenly", heads, kv_heads));
  }
  for (const std::size_t i : cached ? std::vector<std::size_t>{kCacheK, kCacheV} : std::vector<std::size_t>{kK, kV}) {
    if (cached) c.expect_rank(i, 2, "a cache");
    const std::int64_t width = c.input(i).shape.back();
    if (width % kv_heads != 0 || width == 0)
      c.fail(fmt::format("a width of {} is not made of {} heads", width, kv_heads));
  }
  if (c.has(kTable)) c.expect_rank(kTable, 2, "table");
  const Shape& q = c.input(kQ).shape;
  if (!cached) {
    const Shape& k = c.input(kK).shape;
    const std::int64_t memories = k.size() == 3 ? k[0] : 1;
    if (q.size() == 3 ? q[0] != memories : memories > 0 && q[0] % memories != 0) {
      c.fail(fmt::format("q {} does not go with {} memories", to_string(q), memories));
    }
  }
  const Sizes s = sizes_of(c);
  Shape expected = q;
  expected.back() = packed ? s.q_width() + s.k_width() + s.v_width() : s.q_width();
  c.expect_shape(kQ, expected, "q");
  if (!packed) {
    expected = c.input(kK).shape;
    if (cached) expected[0] = s.queries;
    expected.back() = s.k_width();
    c.expect_shape(kK, expected, "k");
    expected.back() = s.v_width();
    c.expect_shape(kV, expected, "v");
  }
  if (cached) {
    c.expect_shape(kCacheV, {c.input(kCacheK).shape[0], s.v_width()}, "cache_v");
    c.expect_rank(kPosition, 1, "position");
    if (c.input(kPosition).shape[0] != 1) c.expect_shape(kPosition, {s.queries}, "position");
    c.expect_integers(kPosition, "position");
    if (!c.has(kTable) && s.queries > s.length) {
      c.fail(fmt::format("{} rows do not fit a cache of {}", s.queries, s.length));
    }
  }
  if (by_head && c.has(kTable) && s.cache_rows % kKeyBlock != 0) {
    c.fail(fmt::format("a cache of {} rows that lies by head and has a table: expected a multiple of {}", s.cache_rows,
                       kKeyBlock));
  }
  if (c.has(kTable)) {
    const bool shared = !apart && c.input(kTable).shape[1] == 1;
    c.expect_shape(kTable, {s.length, shared ? 1 : s.queries}, "table");
    c.expect_integers(kTable, "table");
    c.expect_shape(kPosition, {s.queries}, "position");
  }
  if (c.has(kLengths)) {
    c.expect_shape(kLengths, {s.memories()}, "lengths");
    c.expect_integers(kLengths, "lengths");
  }
  if (c.has(kMask)) check_mask(c, s);
  if (c.has(kScoreWeight) != (s.score == AttentionScore::Additive)) {
    c.fail("score additive, and no other, needs score_weight");
  }
  if (c.has(kScoreWeight)) c.expect_shape(kScoreWeight, {s.q_width()}, "score_weight");
  if (s.window < 0) c.fail(fmt::format("window {} is negative", s.window));
  constexpr std::pair<std::size_t, std::string_view> kFloats[] = {{kQ, "q"},
                                                                  {kK, "k"},
                                                                  {kV, "v"},
                                                                  {kMask, "the mask"},
                                                                  {kCacheK, "cache_k"},
                                                                  {kCacheV, "cache_v"},
                                                                  {kScoreWeight, "score_weight"}};
  for (const auto& [i, what] : kFloats) {
    if (c.has(i)) c.expect_floats(i, what);
  }
  if (cached) check_cache_types(c, s);
  if (a.has("rotary_layout") || a.has("rotary_base") || a.has("rotary_dims") || a.has("rotary_freq_factors") ||
      a.has("rotary_scale")) {
    if (!cached) c.fail("rotary needs a cache");
    Rotary::from(a, "rotary_", s.d);
  }
  Shape y = q;
  y.back() = s.heads * s.dv;
  Shape weights = {s.heads, s.query_rows, s.length};
  if (q.size() == 3) weights.insert(weights.begin(), q[0]);
  return {{DType::F32, y}, {DType::F32, weights}};
}

/// What the reference knows of a query.
struct Query {
  std::int64_t row;  // of q
  std::int64_t memory;
  std::int64_t row_in_block;
  std::int64_t position;  // -1: it sees nothing
  std::int64_t known;     // keys that exist
};

double score_of(const ReferenceContext& c, const Sizes& s, const double* q, const double* k, std::int64_t head) {
  double sum = 0.0, q_squares = 0.0, k_squares = 0.0;
  for (std::int64_t e = 0; e < s.d; ++e) {
    switch (s.score) {
      case AttentionScore::Additive:
        sum += c.in(kScoreWeight)[static_cast<std::size_t>(head * s.d + e)] * std::tanh(q[e] + k[e]);
        break;
      case AttentionScore::Distance:
        sum += (q[e] - k[e]) * (q[e] - k[e]);
        break;
      default:
        sum += q[e] * k[e];
    }
    q_squares += q[e] * q[e];
    k_squares += k[e] * k[e];
  }
  if (s.score == AttentionScore::Cosine) return sum / std::max(std::sqrt(q_squares) * std::sqrt(k_squares), 1e-8);
  return s.score == AttentionScore::Distance ? -std::sqrt(sum) : sum;
}

/// The element of the mask for a query's head and key.
double mask_of(const ReferenceContext& c, const Sizes& s, const Query& query, std::int64_t head, std::int64_t key) {
  if (!c.has(kMask)) return 0.0;
  const AttentionMask mask = AttentionMask::of(c.shape(kMask));
  return c.in(kMask)[static_cast<std::size_t>(query.memory * mask.memory_stride + head * mask.head_stride +
                                              query.row_in_block * s.length + key)];
}

/// Writes a row, `width` elements of each head, into a cache.
void enter(const Sizes& s, HostTensor& cache, std::int64_t width, std::int64_t place,
           std::vector<double>::const_iterator row) {
  for (std::int64_t head = 0; head < s.kv_heads; ++head, row += width) {
    std::transform(row, row + width, cache.data.begin() + s.row_of_head(place, head) * width,
                   [&](double value) { return cached_as(cache.type.dtype, value); });
  }
}

void reference(const ReferenceContext& c) {
  const bool cached = c.has(kCacheK);
  const Sizes s = sizes_of(c.node.attributes, [&](std::size_t i) { return c.has(i) ? &c.shape(i) : nullptr; });
  if (s.queries == 0) return;
  const bool own_positions = cached && (c.has(kTable) || c.shape(kPosition)[0] > 1);
  if (cached && !own_positions) {
    c.position(kPosition);
    c.index(kPosition, 0, s.positions(), false, "position");
  }
  const auto query_of = [&](std::int64_t t) {
    Query query{t, t / s.memory_rows, t % s.query_rows, t % s.query_rows, s.length};
    if (own_positions) {
      query.position = to_integer(c.in(kPosition)[static_cast<std::size_t>(t)]);
      if (query.position >= s.length) c.index(kPosition, static_cast<std::size_t>(t), s.length, true, "position");
      query.known = query.position + 1;
    } else if (cached) {
      const std::int64_t first = to_integer(c.in(kPosition)[0]);
      query.position = first + t;
      query.known = first + s.queries;
    }
    if (c.has(kLengths)) {
      query.known =
          std::clamp<std::int64_t>(to_integer(c.in(kLengths)[static_cast<std::size_t>(query.memory)]), 0, s.length);
    }
    return query;
  };
  std::vector<double> q = c.in(kQ);
  std::vector<double> k = c.has(kK) ? c.in(kK) : std::vector<double>();
  std::vector<double> v = c.has(kV) ? c.in(kV) : std::vector<double>();
  if (s.packed) {
    const std::int64_t row_width = c.shape(kQ)[1];
    q.clear();
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const auto row = c.in(kQ).begin() + t * row_width;
      q.insert(q.end(), row, row + s.q_width());
      k.insert(k.end(), row + s.q_width(), row + s.q_width() + s.k_width());
      v.insert(v.end(), row + s.q_width() + s.k_width(), row + row_width);
    }
  }
  if (c.node.attributes.has("rotary_layout")) {
    const Rotary rotary = Rotary::from(c.node.attributes, "rotary_", s.d);
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const auto at = static_cast<double>(query_of(t).position);
      for (std::int64_t h = 0; h < s.heads; ++h) rotary.turn(q.data() + (t * s.heads + h) * s.d, at);
      for (std::int64_t h = 0; h < s.kv_heads; ++h) rotary.turn(k.data() + (t * s.kv_heads + h) * s.d, at);
    }
  }
  // The row of k and v, or of the caches, where a key lies.
  const auto place_of = [&](const Query& query, std::int64_t key) {
    if (!cached) return query.memory * s.length + key;
    if (!c.has(kTable)) return key;
    const std::int64_t columns = c.shape(kTable)[1];
    return to_integer(c.in(kTable)[static_cast<std::size_t>(key * columns + (columns == 1 ? 0 : query.row))]);
  };
  for (std::int64_t t = 0; cached && t < s.queries; ++t) {
    const Query query = query_of(t);
    if (query.position < 0) continue;
    const std::int64_t place = place_of(query, query.position);
    enter(s, *c.inputs[kCacheK], s.d, place, k.begin() + t * s.k_width());
    enter(s, *c.inputs[kCacheV], s.dv, place, v.begin() + t * s.v_width());
  }
  const std::vector<double>& keys = cached ? c.inputs[kCacheK]->data : k;
  const std::vector<double>& values = cached ? c.inputs[kCacheV]->data : v;
  std::vector<double> weights(static_cast<std::size_t>(s.length));
  for (std::int64_t h = 0; h < s.heads; ++h) {
    const std::int64_t kvh = h / (s.heads / s.kv_heads);
    for (std::int64_t t = 0; t < s.queries; ++t) {
      const Query query = query_of(t);
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t j = 0; j < s.length; ++j) {
        double& score = weights[static_cast<std::size_t>(j)];
        score = kMasked;
        if (j >= query.known || (s.causal && j > query.position)) continue;
        if (s.window > 0 && j + s.window <= query.position) continue;
        score = s.scale * score_of(c, s, q.data() + (t * s.heads + h) * s.d,
                                   keys.data() + s.row_of_head(place_of(query, j), kvh) * s.d, h);
        if (s.softcap > 0.0) score = s.softcap * std::tanh(score / s.softcap);
        score += mask_of(c, s, query, h, j);
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
          if (w == 0.0) continue;
          y += w * values[static_cast<std::size_t>(s.row_of_head(place_of(query, j), kvh) * s.dv + e)];
        }
        c.out(0)[static_cast<std::size_t>((t * s.heads + h) * s.dv + e)] = y;
      }
      if (c.outputs.size() > 1 && c.outputs[1] != nullptr) {
        const std::int64_t block = t / s.query_rows;
        std::copy(weights.begin(), weights.end(),
                  c.out(1).begin() + ((block * s.heads + h) * s.query_rows + query.row_in_block) * s.length);
      }
    }
  }
}

}  // namespace

extern const Op op_attention;
const Op op_attention = {.names = {"attention"},
                         .infer = infer,
                         .reference = reference,
                         .lower = lower_attention,
                         .updates = {kCacheK, kCacheV},
                         .f16_states = {kCacheK, kCacheV},
                         .fusions = {{FusionPhase::Inputs, "rotary", fuse_rotary},
                                     {FusionPhase::Inputs, "packed attention", fuse_packed_attention}},
                         .tuning = attention_tuning()};

}  // namespace heed::ops
