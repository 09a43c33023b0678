// op attention_block: y = attention(rms_norm(x) W^T + bias) W2^T + bias2 + residual for a single row with a cache; made
// by fusion, below, of nodes that compute the same one by one.
//
// inputs: x [1, K], weight [q + k + v, K], bias [q + k + v]?, norm_weight [K]?, cache_k, cache_v, position as
// attention, weight2 [M, H*dv], bias2 [M]?, residual [1, M]?
//
// outputs: y [1, M]
//
// attributes: those of attention with packed = 1; norm_eps.
#include "ops/attention_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "constants/attention_block.h"
#include "graph/integer.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/op.h"
#include "ops/rewrite.h"
#include "ops/rotary.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum : std::size_t { kX = 0, kWeight, kBias, kNorm, kCacheK, kCacheV, kPosition, kWeight2, kBias2, kResidual, kInputs };
constexpr std::uint32_t kBindings = 19;    // of attention_block.comp ...
constexpr std::uint32_t kTexelViews = 14;  // ... and how many of them are texel buffers where they can be
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// One of the three nodes that the block stands for: which of the block's inputs are its own, kNone for an absent one.
/// The first input is what the node before it made, for all but the first.
struct Part {
  Node node;
  std::vector<std::size_t> inputs;
};

std::vector<Part> parts_of(const Node& block) {
  Part projection{{"linear", block.name + ".qkv", {}, {}, {}}, {kX, kWeight, kBias, kNone, kNorm}};
  Part attention{{"attention", block.name, {}, {}, {}}, {kNone, kNone, kNone, kNone, kCacheK, kCacheV, kPosition}};
  Part output{{"linear", block.name + ".output", {}, {}, {}}, {kNone, kWeight2, kBias2, kResidual}};
  for (const auto& [name, value] : block.attributes) {
    (name == "norm_eps" ? projection : attention).node.attributes.set(name, value);
  }
  return {std::move(projection), std::move(attention), std::move(output)};
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(kInputs,
                {"heads", "kv_heads", "scale", "causal", "window", "by_head", "softcap", "packed", "rotary_layout",
                 "rotary_base", "rotary_dims", "rotary_freq_factors", "rotary_scale", "norm_eps", "halves"});
  if (c.node.attributes.integer("packed", 0) == 0) c.fail("needs packed");
  c.expect_rank(kX, 2, "x");
  if (c.input(kX).shape[0] != 1) c.fail("takes a single row");
  if (c.has(kWeight) && c.has(kWeight2) && c.input(kWeight).dtype != c.input(kWeight2).dtype) {
    c.fail(fmt::format("the weights are {} and {}, but need one type", dtype_name(c.input(kWeight).dtype),
                       dtype_name(c.input(kWeight2).dtype)));
  }
  std::vector<TensorType> made;
  for (const Part& part : parts_of(c.node)) {
    InferContext own{part.node, {}, c.dims};
    for (const std::size_t i : part.inputs) own.inputs.push_back(i != kNone && c.has(i) ? c.inputs[i] : nullptr);
    if (!made.empty()) own.inputs[0] = &made.front();
    made = infer_types(own);
  }
  return made;
}

void reference(const ReferenceContext& c) {
  const Bindings no_dims;  // shapes are bound here
  HostTensor before;
  for (const Part& part : parts_of(c.node)) {
    std::vector<HostTensor*> inputs;
    std::vector<const TensorType*> types;
    for (const std::size_t i : part.inputs) inputs.push_back(i != kNone && c.has(i) ? c.inputs[i] : nullptr);
    if (part.inputs[0] == kNone) inputs[0] = &before;
    for (const HostTensor* tensor : inputs) types.push_back(tensor == nullptr ? nullptr : &tensor->type);
    HostTensor made;
    made.type = infer_types({part.node, types, no_dims}).front();
    made.data.resize(static_cast<std::size_t>(element_count(made.type.shape)));
    find_op(part.node.op)->reference({part.node, inputs, {&made}});
    before = std::move(made);
  }
  c.out(0) = before.data;
}

/// Weight rows that a lane takes at a time: few are left over where a head's rows end.
std::int64_t rows_at_a_time(std::int64_t rows, const JoinedLanes& joined) {
  if (!joined.rows) return 1;
  std::int64_t best = 8;
  const auto taken = [&](std::int64_t at_a_time) {
    return ceil_div(rows, std::int64_t{joined.lanes} * at_a_time) * at_a_time;
  };
  for (const std::int64_t fewer : {7, 6, 5, 4}) {
    if (taken(fewer) < taken(best)) best = fewer;
  }
  return best;
}

void lower(Lowering& l) {
  const Attributes& a = l.attributes();
  const Shape& w = l.input(kWeight).shape;
  const std::int64_t width = l.input(kWeight2).shape[0];
  const DType dtype = l.input(kWeight).dtype;
  const Shape row = {1, w[0]};
  const AttentionSizes s =
      AttentionSizes::from(a, row, nullptr, nullptr, &l.input(kCacheK).shape, &l.input(kCacheV).shape);
  const AttentionBlock block = {
      dtype, w[1], width, &a, l.input(kCacheK).shape, l.input(kCacheV).shape, l.input(kCacheK).dtype};
  if (!fits_one_dispatch(block, l.caps(), l.tuning())) {
    l.fail("cannot run as one; write linear, attention and linear, which are joined where the device can");
  }
  const JoinedLanes joined = *joined_lanes(dtype, l.caps(), l.tuning());
  const std::vector<MatrixPiece> first = l.matrix(kWeight, w[0], false, std::gcd(s.d, s.dv));
  const std::vector<MatrixPiece> second = l.matrix(kWeight2, width, false, 0);
  if (first.size() != 1 || second.size() != 1) l.fail("a weight of an attention block does not fit one binding");

  const Binding x = l.read(kX, View::F32x4);
  Rotary rotary;
  Binding table = x;
  if (a.has("rotary_layout")) {
    rotary = Rotary::from(a, "rotary_", s.d);
    table = rotary.table(l, s.length);
  }
  table.view = View::F32;
  const auto cache = [&](std::size_t input, Access access, View view) {
    Binding binding = l.update(input);
    binding.access = access;
    binding.view = view;
    return binding;
  };
  l.check_indices(kPosition, "position", {s.positions()}, false);
  Dispatch d;
  d.shader = "attention_block";
  const bool half = block.cache == DType::F16;
  const View keys = half ? View::U32x2 : View::F32x4;
  d.variant = {std::string(dtype_name(dtype)), joined.variant(), half ? "f16" : "f32"};
  d.bindings = {x,
                cache(kCacheK, Access::Read, keys),
                cache(kCacheV, Access::Read, keys),
                l.read_or(kNone, View::F32, x),
                l.read(kPosition, View::I32),
                first[0].words,
                first[0].scales,
                second[0].words,
                second[0].scales,
                table,
                cache(kCacheK, Access::Write, View::None),
                cache(kCacheV, Access::Write, View::None),
                l.read_or(kBias, View::F32, x),
                l.read_or(kNorm, View::F32x4, x),
                l.read_or(kBias2, View::F32, x),
                l.read_or(kResidual, View::F32, x),
                l.scratch("parts", static_cast<std::uint64_t>(s.heads * width) * 4),
                l.counter(),
                l.write()};
  AttentionPush push = attention_push(s);
  push.q_row = u32(w[0]);
  push.dims = u32(rotary.dims);
  d.push_constants = words_of(AttentionBlockPush{.attention = push,
                                                 .columns = u32(w[1]),
                                                 .row_units = u32(matrix_row_units(dtype, w[1])),
                                                 .row_units_2 = u32(matrix_row_units(dtype, s.heads * s.dv)),
                                                 .width = u32(width),
                                                 .norm_eps = static_cast<float>(a.real("norm_eps", 0.0))});
  const std::uint32_t lanes = joined.lanes;
  d.specialization = words_of(AttentionBlockConstants{.lanes = lanes,
                                                      .tile = attention_tile(lanes),
                                                      .slots = u32(ceil_div(s.dv / 4, std::int64_t{lanes})),
                                                      .q_length = u32(s.d / 4),
                                                      .half_split = rotary.half,
                                                      .v_length = u32(s.dv),
                                                      .sums = u32(rows_at_a_time(2 * s.d + s.dv, joined)),
                                                      .has_bias = l.has(kBias),
                                                      .has_norm = l.has(kNorm),
                                                      .band = first[0].band,
                                                      .band_2 = second[0].band,
                                                      .has_bias_2 = l.has(kBias2),
                                                      .has_residual = l.has(kResidual),
                                                      .sharing = joined.sharing,
                                                      .group_heads = u32(s.heads / s.kv_heads)});
  d.groups = {u32(s.heads), 1, 1};
  d.flops = saturating_sum(saturating_product({2, u64(w[0]), u64(w[1])}),
                           saturating_product({2, u64(width), u64(s.heads * s.dv)}));
  count_keys(s, s.d + s.dv, d);
  d.bytes = first[0].bytes + second[0].bytes;
  l.emit(std::move(d));
}

}  // namespace

bool fits_one_dispatch(const AttentionBlock& block, const DeviceCaps& caps, const Tuning& tuning) {
  const AttentionSizes s =
      AttentionSizes::from(*block.attributes, {1, 0}, nullptr, nullptr, &block.cache_k, &block.cache_v);
  const std::int64_t unit = unit_columns(block.dtype);
  const std::optional<JoinedLanes> joined = joined_lanes(block.dtype, caps, tuning);
  // Lanes with rows of their own are for CPU drivers, where caches are f32 (generate/cache_type.h).
  if (!joined || (block.cache == DType::F16 && joined->rows)) return false;
  // A workgroup goes over a head's keys alone.
  constexpr std::int64_t kMostKeyBytes = std::int64_t{1} << 19;
  if (!joined->rows && s.length * (s.d + s.dv) * 4 > kMostKeyBytes) return false;
  const std::int64_t lanes = joined->lanes;
  if (block.columns % unit != 0 || s.d % 4 != 0 || s.dv % unit != 0 || s.dv == 0 ||
      s.heads > caps.max_workgroup_count[0]) {
    return false;
  }
  const std::int64_t rows = s.q_width() + s.k_width() + s.v_width();
  const std::uint64_t weights =
      file_bytes(block.dtype, rows, block.columns) + file_bytes(block.dtype, block.width, s.heads * s.dv);
  if (!weights_fit_one_dispatch(weights, caps)) return false;
  // So many storage buffers are not everywhere; then everything read must fit texel buffers.
  const std::uint64_t cache = static_cast<std::uint64_t>(s.length * std::max(s.k_width(), s.v_width()));
  if (4 * cache > caps.max_storage_buffer_range) return false;  // attention alone goes through it in pieces
  const std::uint64_t table = static_cast<std::uint64_t>((s.length / kRotaryFineRows + 1 + kRotaryFineRows) * s.d);
  const bool texel = tuning.texel && caps.max_texel_buffers >= kTexelViews && caps.max_resources >= kBindings &&
                     std::max({3 * weights / 16, cache / 4, table, static_cast<std::uint64_t>(rows)}) <=
                         caps.max_texel_buffer_elements;
  if (caps.max_storage_buffers < kBindings && !(texel && caps.max_storage_buffers >= 8)) return false;
  const std::uint64_t shared =
      attention_shared(s, joined->lanes) + static_cast<std::uint64_t>(2 * s.d + 2 * s.dv + 2 * lanes) * 4 + 16;
  if (shared > caps.max_shared_memory) return false;
  const std::int64_t at_a_time = lanes / joined->sharing * rows_at_a_time(2 * s.d + s.dv, *joined);
  const std::int64_t products =
      ((2 * s.d + s.dv) / at_a_time + 1) * multiply_iterations(matrix_row_units(block.dtype, block.columns)) +
      (block.width / at_a_time + 1) * multiply_iterations(s.dv / unit) + (block.width / lanes + 1) * (s.heads + 1);
  return attention_iterations(s, true, joined->lanes) + static_cast<std::uint64_t>(products) <=
         caps.max_loop_iterations;
}

namespace {

/// Whether an attention has nothing that attention_block does not know: no mask, table, lengths or other score.
bool is_plain_step(const Node& attention) {
  using namespace attention_input;  // NOLINT: names of inputs
  for (const std::size_t i : {kMask, kLengths, kTable, kScoreWeight}) {
    if (input_of(attention, i) != kNoValue) return false;
  }
  return attention.attributes.text("score", "dot") == "dot";
}

/// linear(attention(linear(x))) of a single row with a cache becomes one attention_block where fits_one_dispatch().
void fuse_attention_blocks(const FusionContext& context) {
  Graph& graph = context.graph;
  const std::vector<TensorType> types = context.types();
  const Wiring wiring(graph);
  const auto type_of = [&](ValueId id) -> const TensorType& { return types[static_cast<std::size_t>(id)]; };
  std::set<std::size_t> dead;
  for (std::size_t output_at = 0; output_at < graph.nodes.size(); ++output_at) {
    Node& output = graph.nodes[output_at];
    if (!product_alone(output)) continue;
    const std::optional<std::size_t> attention_at = wiring.only_maker(output.inputs[0]);
    if (!attention_at) continue;
    const Node& attention = graph.nodes[*attention_at];
    if (!can_move(graph, *attention_at, output_at)) continue;
    if (attention.op != "attention" || attention.attributes.integer("packed", 0) == 0 || attention.outputs.size() > 1 ||
        !is_plain_step(attention)) {
      continue;
    }
    const std::optional<std::size_t> projection_at = wiring.only_maker(attention.inputs[0]);
    if (!projection_at) continue;
    const Node& projection = graph.nodes[*projection_at];
    if (projection.op != "linear" || input_of(projection, 3) != kNoValue || input_of(projection, 5) != kNoValue ||
        projection.attributes.text("activation", "none") != "none" || projection.attributes.has("gate")) {
      continue;
    }
    if (!can_move(graph, *projection_at, output_at)) continue;
    const Shape& x = type_of(projection.inputs[0]).shape;
    const TensorType& w = type_of(projection.inputs[1]);
    const TensorType& w2 = type_of(output.inputs[1]);
    if (x.size() != 2 || x[0] != 1 || w.dtype != w2.dtype) continue;
    const AttentionBlock block = {w.dtype,
                                  x[1],
                                  w2.shape[0],
                                  &attention.attributes,
                                  type_of(attention.inputs[4]).shape,
                                  type_of(attention.inputs[5]).shape,
                                  type_of(attention.inputs[4]).dtype};
    if (!fits_one_dispatch(block, context.caps, context.tuning)) continue;
    Node merged{"attention_block", attention.name, {}, output.outputs, attention.attributes};
    merged.attributes.erase("score");
    merged.inputs = {projection.inputs[0], projection.inputs[1], input_of(projection, 2), input_of(projection, 4),
                     attention.inputs[4],  attention.inputs[5],  attention.inputs[6],     output.inputs[1],
                     input_of(output, 2),  input_of(output, 3)};
    if (projection.attributes.has("norm_eps")) {
      merged.attributes.set("norm_eps", projection.attributes.real("norm_eps"));
    }
    dead.insert({*attention_at, *projection_at});
    output = std::move(merged);
  }
  erase_nodes(graph, dead);
}

}  // namespace

extern const Op op_attention_block;
const Op op_attention_block = {.names = {"attention_block"},
                               .infer = infer,
                               .reference = reference,
                               .lower = lower,
                               .updates = {kCacheK, kCacheV},
                               .f16_states = {kCacheK, kCacheV},
                               .fusions = {{FusionPhase::Blocks, "attention block", fuse_attention_blocks}}};

}  // namespace heed::ops
