// op group_norm: x [B, C, ..] normalised over each of `groups` runs of C / groups channels and all that is inside them
// (Wu and He 2018): (x - mean) / sqrt(variance + eps) * scale[c] + bias[c]; scale [C]?, bias [C]?. Attributes groups,
// eps (default 1e-5). Groups 0 are as many as channels: the instance norm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {"groups", "eps"});
  const Shape& x = c.input(0).shape;
  if (x.size() < 2) c.fail(fmt::format("x is {}, expected [batch, channels, ..]", to_string(x)));
  const std::int64_t groups = c.node.attributes.integer("groups");
  if (groups < 0 || (groups > 0 && x[1] % groups != 0)) c.fail(fmt::format("{} groups of {} channels", groups, x[1]));
  constexpr std::string_view kNames[] = {"x", "scale", "bias"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (i > 0 && !c.has(i)) continue;
    if (i > 0) c.expect_shape(i, {x[1]}, kNames[i]);
    c.expect_floats(i, kNames[i]);
  }
  c.node.attributes.real("eps", 1e-5);
  return {{DType::F32, x}};
}

struct Groups {
  std::int64_t rows = 0;    // groups of all batches
  std::int64_t length = 0;  // elements of each
  std::int64_t groups = 1;
  std::int64_t channels = 0;  // of each
  std::int64_t inner = 1;     // elements of a channel
};

Groups groups_of(const Node& node, const Shape& x) {
  Groups g;
  g.groups = node.attributes.integer("groups");
  if (g.groups == 0) g.groups = x[1];
  g.rows = x[0] * g.groups;
  g.channels = g.groups == 0 ? 0 : x[1] / g.groups;
  for (std::size_t d = 2; d < x.size(); ++d) g.inner *= x[d];
  g.length = g.channels * g.inner;
  return g;
}

void reference(const ReferenceContext& c) {
  const Groups g = groups_of(c.node, c.shape(0));
  const double eps = c.node.attributes.real("eps", 1e-5);
  const auto length = static_cast<std::size_t>(g.length);
  for (std::size_t row = 0; row < static_cast<std::size_t>(g.rows) && length > 0; ++row) {
    double mean = 0.0;
    for (std::size_t i = 0; i < length; ++i) mean += c.in(0)[row * length + i];
    mean /= static_cast<double>(length);
    double squares = 0.0;
    for (std::size_t i = 0; i < length; ++i) squares += std::pow(c.in(0)[row * length + i] - mean, 2.0);
    const double deviation = std::sqrt(squares / static_cast<double>(length) + eps);
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t channel = row % static_cast<std::size_t>(g.groups) * static_cast<std::size_t>(g.channels) +
                                  i / static_cast<std::size_t>(g.inner);
      c.out(0)[row * length + i] =
          (c.in(0)[row * length + i] - mean) / deviation * (c.has(1) ? c.in(1)[channel] : 1.0) +
          (c.has(2) ? c.in(2)[channel] : 0.0);
    }
  }
}

void lower(Lowering& l) {
  const std::int64_t count = element_count(l.input(0).shape);
  if (count == 0) return;
  if (count > 0x7fffffff) l.fail("more than 2^31 elements");
  const Groups g = groups_of(l.node(), l.input(0).shape);
  // Chunks long enough to be worth a workgroup, and few enough to be summed up again by each of them.
  constexpr std::int64_t kShortest = 4096;
  constexpr std::int64_t kMost = 256;
  const std::int64_t chunk = std::max(kShortest, ceil_div(g.length, kMost));
  const std::int64_t chunks = ceil_div(g.length, chunk);
  const std::uint32_t lanes =
      l.lanes_within_loops(l.lanes_of_row(static_cast<std::uint64_t>(std::min(chunk, g.length))), [&](std::uint32_t n) {
        return 2 * (static_cast<std::uint64_t>(std::max(chunk, kMost)) / n + 1) + 2 * Lowering::reduce_iterations(n);
      });
  const auto groups = l.spread(static_cast<std::uint64_t>(g.rows * chunks));
  const std::string subgroup = l.caps().subgroup_arithmetic ? "1" : "0";
  const Binding x = l.read(0, View::F32);
  Binding sums = l.scratch("sums", static_cast<std::uint64_t>(g.rows * chunks) * 8);
  sums.access = Access::Write;

  Dispatch first;
  first.shader = "group_norm_sums";
  first.variant = {subgroup};
  first.bindings = {x, sums};
  first.push_constants = {u32(g.rows), u32(g.length), u32(chunks), u32(chunk)};
  first.specialization = {lanes};
  first.groups = groups;
  l.emit(std::move(first));

  sums.access = Access::Read;
  sums.view = View::F32;
  Dispatch second;
  second.shader = "group_norm";
  second.variant = {subgroup};
  second.bindings = {x, sums, l.read_or(1, View::F32, x), l.read_or(2, View::F32, x), l.write()};
  second.push_constants = {u32(g.rows),   u32(g.length),   u32(chunks),  u32(chunk),
                           u32(g.groups), u32(g.channels), u32(g.inner), bits(l.attributes().real("eps", 1e-5))};
  second.specialization = {lanes, l.has(1), l.has(2)};
  second.groups = groups;
  l.emit(std::move(second));
}

std::vector<PartAxis> parts(const Lowering& l) {
  const Groups g = groups_of(l.node(), l.input(0).shape);
  PartAxis groups{
      g.groups, 1, [attributes = l.attributes(), g](std::int64_t begin, std::int64_t count) {
        NodePart part;
        const std::int64_t first = begin * g.channels;
        const std::int64_t channels = count * g.channels;
        part.inputs = {PartRange{1, first, channels}, PartRange{0, first, channels}, PartRange{0, first, channels}};
        part.outputs = {PartRange{1, first, channels}};
        part.attributes = attributes;
        part.attributes->set("groups", count);
        return part;
      }};
  return {part_axis(l, l.input(0).shape[0], {0}, {0}), std::move(groups)};
}

}  // namespace

extern const Op op_group_norm;
const Op op_group_norm = {
    .names = {"group_norm"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
