// op spatial_attention: y = residual + gain v softmax(scale k^T q), where the places of a picture look at all places;
// made by fusion, below, of nodes that compute the same one by one.
//
// inputs: q [B, D, N], k [B, D, M], v [B, C, M], gain [1]?, residual [..]?
//
// outputs: y [B, C, N], or residual's shape with as many elements; weights [B, M, N]?
//
// attributes: scale (default 1); by_query: the weights are [B, N, M].
#include "constants/spatial_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "graph/integer.h"
#include "ops/op.h"
#include "ops/rewrite.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum : std::size_t { kQ = 0, kK, kV, kGain, kResidual, kInputs };

struct Places {
  std::int64_t batch = 0;
  std::int64_t width = 0;  // of q and k
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t channels = 0;
};

Places places_of(const Shape& q, const Shape& v) { return {q[0], q[1], q[2], v[2], v[1]}; }

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(kInputs, {"scale", "by_query"});
  constexpr std::string_view kNames[] = {"q", "k", "v", "the gain", "the residual"};
  for (std::size_t i = 0; i < kInputs; ++i) {
    if (i <= kV) c.expect_rank(i, 3, kNames[i]);
    if (i <= kV || c.has(i)) c.expect_floats(i, kNames[i]);
  }
  const Places p = places_of(c.input(kQ).shape, c.input(kV).shape);
  c.expect_shape(kK, {p.batch, p.width, p.keys}, "k");
  c.expect_shape(kV, {p.batch, p.channels, p.keys}, "v");
  if (c.has(kGain) && element_count(c.input(kGain).shape) != 1) {
    c.fail(fmt::format("the gain is {}, expected one element", to_string(c.input(kGain).shape)));
  }
  Shape y = {p.batch, p.channels, p.queries};
  if (c.has(kResidual)) {
    if (element_count(c.input(kResidual).shape) != element_count(y)) {
      c.fail(fmt::format("the residual is {}, expected as many elements as {}", to_string(c.input(kResidual).shape),
                         to_string(y)));
    }
    y = c.input(kResidual).shape;
  }
  const bool by_query = c.node.attributes.integer("by_query", 0) != 0;
  return {{DType::F32, y},
          {DType::F32, by_query ? Shape{p.batch, p.queries, p.keys} : Shape{p.batch, p.keys, p.queries}}};
}

void reference(const ReferenceContext& c) {
  const Places p = places_of(c.shape(kQ), c.shape(kV));
  const double scale = c.node.attributes.real("scale", 1.0);
  const bool by_query = c.node.attributes.integer("by_query", 0) != 0;
  const double gain = c.has(kGain) ? c.in(kGain)[0] : 1.0;
  const auto element = [](const std::vector<double>& of, std::int64_t i) { return of[static_cast<std::size_t>(i)]; };
  std::vector<double> weights(static_cast<std::size_t>(p.keys));
  for (std::int64_t b = 0; b < p.batch; ++b) {
    for (std::int64_t n = 0; n < p.queries; ++n) {
      for (std::int64_t m = 0; m < p.keys; ++m) {
        double score = 0.0;
        for (std::int64_t d = b * p.width; d < (b + 1) * p.width; ++d) {
          score += element(c.in(kK), d * p.keys + m) * element(c.in(kQ), d * p.queries + n);
        }
        weights[static_cast<std::size_t>(m)] = score * scale;
      }
      double largest = weights.empty() ? 0.0 : weights[0];
      for (const double score : weights) largest = std::max(largest, score);
      double sum = 0.0;
      for (double& score : weights) sum += score = std::exp(score - largest);
      for (std::int64_t m = 0; m < p.keys; ++m) {
        double& weight = weights[static_cast<std::size_t>(m)];
        weight /= sum;
        if (c.outputs.size() < 2 || c.outputs[1] == nullptr) continue;
        const std::int64_t at = by_query ? (b * p.queries + n) * p.keys + m : (b * p.keys + m) * p.queries + n;
        c.out(1)[static_cast<std::size_t>(at)] = weight;
      }
      for (std::int64_t channel = b * p.channels; channel < (b + 1) * p.channels; ++channel) {
        double value = 0.0;
        for (std::int64_t m = 0; m < p.keys; ++m) {
          value += weights[static_cast<std::size_t>(m)] * element(c.in(kV), channel * p.keys + m);
        }
        const std::int64_t at = channel * p.queries + n;
        c.out(0)[static_cast<std::size_t>(at)] = gain * value + (c.has(kResidual) ? element(c.in(kResidual), at) : 0.0);
      }
    }
  }
}

/// How one dispatch does it: queries of a workgroup, and its lanes.
struct Workgroups {
  std::uint32_t queries = 1;
  std::uint32_t lanes = 1;
};

/// Nothing where the scores of a workgroup's queries do not fit its memory, or loops would be too long.
std::optional<Workgroups> workgroups_of(const Places& p, const DeviceCaps& caps, const Tuning& tuning) {
  if (p.keys < 1 || p.keys % 4 != 0) return std::nullopt;  // v is read in vec4s
  constexpr std::int64_t kMostLanes = 256;
  const auto most = static_cast<std::int64_t>(std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0]));
  std::int64_t lanes = std::min<std::int64_t>(most, std::max(tuning.lanes, caps.subgroup_size));
  while (2 * lanes <= std::min(most, kMostLanes) && 2 * lanes <= std::max(p.keys, p.channels)) lanes *= 2;
  constexpr std::int64_t kEnoughGroups = 64;
  std::int64_t queries = 8;
  const auto shared = [&] { return static_cast<std::uint64_t>((queries * p.keys + lanes) * 4); };
  while (queries > 1 && (p.batch * ceil_div(p.queries, queries) < kEnoughGroups || shared() > caps.max_shared_memory)) {
    queries /= 2;
  }
  const std::int64_t iterations = ceil_div(p.keys, lanes) * (p.width + 6) +
                                  ceil_div(p.channels, lanes) * (p.keys / 4 + 4) +
                                  2 * queries * static_cast<std::int64_t>(Lowering::reduce_iterations(u32(lanes)));
  // Twice what they are: llvmpipe counts more of nested loops than their rounds and their ends.
  if (shared() > caps.max_shared_memory || static_cast<std::uint64_t>(2 * iterations) > caps.max_loop_iterations) {
    return std::nullopt;
  }
  if (std::max({p.batch * p.width * std::max(p.queries, p.keys), p.batch * p.channels * std::max(p.queries, p.keys),
                p.batch * p.queries * p.keys}) > 0x7fffffff) {
    return std::nullopt;
  }
  return Workgroups{u32(queries), u32(lanes)};
}

void lower(Lowering& l) {
  const Places p = places_of(l.input(kQ).shape, l.input(kV).shape);
  if (p.batch * p.queries == 0 || (p.channels == 0 && !l.wants_output(1))) return;
  const std::optional<Workgroups> work = workgroups_of(p, l.caps(), l.tuning());
  if (!work) {
    l.fail("cannot run as one; write matmul, softmax and matmul, which are joined where the device can");
  }
  const bool weights = l.wants_output(1);
  Dispatch d;
  d.shader = "spatial_attention";
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  const Binding q = l.read(kQ, View::F32);
  Binding unwanted = weights ? l.write(1) : l.scratch("weights", 16);
  unwanted.access = Access::Write;
  d.bindings = {q,
                l.read(kK, View::F32),
                l.read(kV, View::F32x4),
                l.read_or(kGain, View::F32, q),
                l.read_or(kResidual, View::F32, q),
                l.write(),
                unwanted};
  const std::int64_t tiles = ceil_div(p.queries, std::int64_t{work->queries});
  d.push_constants = words_of(SpatialAttentionPush{.groups = u32(p.batch * tiles),
                                                   .tiles = u32(tiles),
                                                   .width = u32(p.width),
                                                   .queries = u32(p.queries),
                                                   .keys = u32(p.keys),
                                                   .channels = u32(p.channels),
                                                   .scale = static_cast<float>(l.attributes().real("scale", 1.0))});
  const std::uint32_t by_query = l.attributes().integer("by_query", 0) != 0 ? 2 : 1;
  d.specialization = words_of(SpatialAttentionConstants{.lanes = work->lanes,
                                                        .queries_at_once = work->queries,
                                                        .most_keys = u32(p.keys),
                                                        .weights = weights ? by_query : 0,
                                                        .has_gain = l.has(kGain),
                                                        .has_residual = l.has(kResidual)});
  d.groups = l.spread(static_cast<std::uint64_t>(p.batch * tiles));
  d.flops = saturating_product({2, u64(p.batch), u64(p.queries), u64(p.keys), u64(p.width + p.channels)});
  l.emit(std::move(d));
}

/// Finds matmul(v, softmax(matmul(q, k))) and what may come after it.
class SpatialAttentions {
 public:
  explicit SpatialAttentions(const FusionContext& context)
      : context_(context), graph_(context.graph), types_(context.types()), wiring_(context.graph) {}

  void run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) take(i);
    erase_nodes(graph_, dead_);
  }

 private:
  const Shape& shape(ValueId id) const { return types_[static_cast<std::size_t>(id)].shape; }
  bool real(ValueId id) const { return is_floating(types_[static_cast<std::size_t>(id)].dtype); }

  /// The node that makes a value which, but for the graph's caller, only node `reader` reads.
  std::optional<std::size_t> maker(ValueId id, std::size_t reader) const {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (i != reader && !dead_.contains(i) && std::ranges::find(node.inputs, id) != node.inputs.end()) {
        return std::nullopt;
      }
      if (std::ranges::find(node.outputs, id) != node.outputs.end()) found = i;
    }
    return found;
  }

  void take(std::size_t i) {
    const Node& sums = graph_.nodes[i];
    if (sums.op != "matmul" || sums.attributes.real("alpha", 1.0) != 1.0) return;
    if (sums.attributes.integer("transpose_a", 0) != 0 || shape(sums.inputs[0]).size() != 3) return;
    const bool by_query = sums.attributes.integer("transpose_b", 0) != 0;
    const ValueId weights = sums.inputs[1];
    const std::optional<std::size_t> softmax_at = maker(weights, i);
    if (!softmax_at || shape(weights).size() != 3 || sums.inputs[0] == weights || !real(weights)) return;
    const Node& softmax = graph_.nodes[*softmax_at];
    const std::int64_t axis = softmax.op == "softmax" ? softmax.attributes.integer("axis", -1) : -3;
    if ((axis < 0 ? axis + 3 : axis) != (by_query ? 2 : 1)) return;
    const std::optional<std::size_t> scores_at = wiring_.only_maker(softmax.inputs[0]);
    if (!scores_at || graph_.nodes[*scores_at].op != "matmul") return;
    const Node& scores = graph_.nodes[*scores_at];
    if (scores.attributes.integer("transpose_a", 0) == 0 || scores.attributes.integer("transpose_b", 0) != 0) return;
    Node merged{"spatial_attention", sums.name, {}, sums.outputs, {}};
    merged.inputs = {scores.inputs[by_query ? 0 : 1], scores.inputs[by_query ? 1 : 0], sums.inputs[0]};
    const Shape& q = shape(merged.inputs[kQ]);
    const Shape& k = shape(merged.inputs[kK]);
    const Shape& v = shape(merged.inputs[kV]);
    if (q.size() != 3 || k.size() != 3 || q[0] != k[0] || q[0] != v[0] || element_count(v) == 0) return;
    if (!workgroups_of(places_of(q, v), context_.caps, context_.tuning)) return;
    merged.attributes.set("scale", scores.attributes.real("alpha", 1.0));
    if (by_query) merged.attributes.set("by_query", std::int64_t{1});
    const bool wanted = std::ranges::find(graph_.outputs, weights) != graph_.outputs.end();
    if (wanted) merged.outputs.push_back(weights);

    const std::size_t at = take_residual(i, merged);
    for (const std::size_t part : {*softmax_at, *scores_at, i}) {
      if (part != at) dead_.insert(part);
    }
    graph_.nodes[at] = std::move(merged);
  }

  /// residual + gain reshape(sums) goes into `merged`; the place of the node that then makes its output.
  std::size_t take_residual(std::size_t i, Node& merged) {
    const std::optional<std::size_t> reshape = reader(graph_.nodes[i].outputs[0]);
    if (!reshape || graph_.nodes[*reshape].op != "reshape") return i;
    const std::optional<std::size_t> mul = reader(graph_.nodes[*reshape].outputs[0]);
    if (!mul || graph_.nodes[*mul].op != "mul") return i;
    const ValueId made = graph_.nodes[*reshape].outputs[0];
    const Node& product = graph_.nodes[*mul];
    const ValueId gain = product.inputs[product.inputs[0] == made ? 1 : 0];
    if (gain == made || element_count(shape(gain)) != 1 || !real(gain) || shape(product.outputs[0]) != shape(made)) {
      return i;
    }
    const std::optional<std::size_t> add = reader(product.outputs[0]);
    if (!add || graph_.nodes[*add].op != "add") return i;
    const Node& sum = graph_.nodes[*add];
    const ValueId residual = sum.inputs[sum.inputs[0] == product.outputs[0] ? 1 : 0];
    if (residual == product.outputs[0] || shape(residual) != shape(made) || !real(residual)) return i;
    if (!can_move(graph_, i, *add) || !can_move(graph_, *mul, *add)) return i;
    merged.inputs.resize(kInputs, kNoValue);
    merged.inputs[kGain] = gain;
    merged.inputs[kResidual] = residual;
    merged.outputs[0] = sum.outputs[0];
    dead_.insert({*reshape, *mul});
    return *add;
  }

  /// The only reader of a value that is no output.
  std::optional<std::size_t> reader(ValueId id) const {
    if (!wiring_.only_maker(id)) return std::nullopt;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (std::ranges::find(node.inputs, id) != node.inputs.end()) return i;
    }
    return std::nullopt;
  }

  const FusionContext& context_;
  Graph& graph_;
  std::vector<TensorType> types_;
  Wiring wiring_;
  std::set<std::size_t> dead_;
};

void fuse_spatial_attention(const FusionContext& context) {
  // Where dispatches are dear: the tuner found it of convolutions, between which these attentions stand.
  if (context.tuning.one_pass_convs > 0) SpatialAttentions(context).run();
}

}  // namespace

extern const Op op_spatial_attention;
const Op op_spatial_attention = {.names = {"spatial_attention"},
                                 .infer = infer,
                                 .reference = reference,
                                 .lower = lower,
                                 .fusions = {{FusionPhase::Blocks, "spatial attention", fuse_spatial_attention}}};

}  // namespace heed::ops
