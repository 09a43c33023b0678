// op relative_bias: what a learned table adds to the scores of attention by how far a key is from its query, in buckets
// that grow with the distance (Raffel et al. 2020, T5, section 2.1).
//
// inputs: table [K, H], position? i32: [1], of the first query, or [T], each query's own; absent: 0. output: y [H, T,
// L], y[h, t, j] = table[bucket(j - p), h] for the query at p. attributes: rows and length name the dimensions that say
// T and L; bidirectional (default 0: keys after the query count as at it), max_distance (default 128, from which all is
// one bucket).
//
// Of n buckets a direction (K, or K / 2 in two directions, keys after the query in the second half) the first n / 2 are
// a distance each, the others cover distances up to max_distance in equal steps of their logarithm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostDistance = 65536;

struct Buckets {
  std::int64_t count;  // a direction
  bool bidirectional;
  std::vector<std::int32_t> of_distance;  // by distance; that of the last is also of all beyond
};

/// The logarithms are computed in float, as PyTorch does: the bucket of a distance at an edge depends on it.
Buckets buckets_of(const Attributes& a, std::int64_t table_rows) {
  Buckets b;
  b.bidirectional = a.integer("bidirectional", 0) != 0;
  b.count = b.bidirectional ? table_rows / 2 : table_rows;
  const std::int64_t most = a.integer("max_distance", 128);
  const std::int64_t exact = b.count / 2;
  for (std::int64_t distance = 0; distance <= most; ++distance) {
    std::int64_t bucket = distance;
    if (distance >= exact) {
      const float share = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                          static_cast<float>(std::log(static_cast<double>(most) / static_cast<double>(exact)));
      bucket = std::min(b.count - 1, exact + static_cast<std::int64_t>(share * static_cast<float>(b.count - exact)));
    }
    b.of_distance.push_back(static_cast<std::int32_t>(bucket));
  }
  return b;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"rows", "length", "bidirectional", "max_distance"});
  c.expect_rank(0, 2, "table");
  c.expect_floats(0, "the table");
  const Shape& table = c.input(0).shape;
  const std::int64_t rows = c.dim("rows");
  const std::int64_t directions = c.node.attributes.integer("bidirectional", 0) != 0 ? 2 : 1;
  if (table[0] < 2 * directions || table[0] % directions != 0 || table[1] < 1) {
    c.fail(fmt::format("the table is {}, expected at least 2 rows for each of {} directions", to_string(table),
                       directions));
  }
  const std::int64_t most = c.node.attributes.integer("max_distance", 128);
  const std::int64_t exact = table[0] / directions / 2;
  if (most <= exact || most > kMostDistance) {
    c.fail(fmt::format("max_distance is {}, expected more than {} and at most {}", most, exact, kMostDistance));
  }
  if (c.has(1)) {
    c.expect_rank(1, 1, "position");
    if (c.input(1).shape[0] != 1) c.expect_shape(1, {rows}, "position");
    c.expect_integers(1, "position");
  }
  return {{DType::F32, {table[1], rows, c.dim("length")}}};
}

void reference(const ReferenceContext& c) {
  const Buckets buckets = buckets_of(c.node.attributes, c.shape(0)[0]);
  const Shape& y = c.outputs[0]->type.shape;
  const bool each = c.has(1) && c.shape(1)[0] != 1;
  for (std::int64_t t = 0; t < y[1]; ++t) {
    const std::int64_t at = !c.has(1) ? t
                            : each    ? static_cast<std::int64_t>(c.in(1)[static_cast<std::size_t>(t)])
                                      : static_cast<std::int64_t>(c.in(1)[0]) + t;
    for (std::int64_t j = 0; j < y[2]; ++j) {
      const bool after = j > at;
      const std::int64_t distance = after && !buckets.bidirectional ? 0 : std::abs(j - at);
      const auto last = static_cast<std::int64_t>(buckets.of_distance.size()) - 1;
      std::int64_t bucket = buckets.of_distance[static_cast<std::size_t>(std::min(distance, last))];
      if (after && buckets.bidirectional) bucket += buckets.count;
      for (std::int64_t h = 0; h < y[0]; ++h) {
        c.out(0)[static_cast<std::size_t>((h * y[1] + t) * y[2] + j)] =
            c.in(0)[static_cast<std::size_t>(bucket * y[0] + h)];
      }
    }
  }
}

void lower(Lowering& l) {
  const Shape& y = l.output().shape;
  const auto count = static_cast<std::uint64_t>(element_count(y));
  if (count == 0) return;
  const Buckets buckets = buckets_of(l.attributes(), l.input(0).shape[0]);
  const Binding table = l.constant(l.node().name + ".buckets", buckets.of_distance, View::I32);
  Dispatch d;
  d.shader = "relative_bias";
  d.bindings = {l.read(0, View::F32), table, l.read_or(1, View::I32, table), l.write()};
  d.push_constants = {u32(y[0]), u32(y[1]), u32(y[2]), u32(buckets.of_distance.size() - 1),
                      buckets.bidirectional ? u32(buckets.count) : 0};
  const std::uint32_t lanes = l.lanes(64);
  const std::uint32_t positions = !l.has(1) ? 0 : l.input(1).shape[0] != 1 ? 2 : 1;
  d.specialization = {lanes, positions};
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_relative_bias;
const Op op_relative_bias = {{"relative_bias"}, infer, reference, lower};

}  // namespace heed::ops
