// op linear: y = act(x W^T + bias) + residual.
//
// inputs: x [.., K], weight [N, K], bias [N]?, residual [.., N]?; by fusion: norm_weight [K]?, and a second product of
// y, which has no residual then: weight2 [M, N], bias2 [M]?, residual2 [.., M]?
//
// attributes: activation (default none); by fusion: gate (the weight holds 2N rows, y = act_gate(x A^T) * (x B^T)),
// norm_eps (x is RMS-normalised first), head_rows (so many rows of the weight are an attention head). By who runs it:
// most_rows (a row of y is the same bytes whatever their number, up to so many), halves (default 2: with 1, kernels
// that multiply x as halves may take one of each element, which rounds it to 11 bits, where others are exact).
#include "ops/linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "constants/linear_pair.h"
#include "graph/integer.h"
#include "ops/activation.h"
#include "ops/linear_dot.h"
#include "ops/linear_kernels.h"
#include "ops/linear_tiles.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::uint32_t kPairBindings = 12;  // of linear_pair.comp
constexpr std::size_t kNoInput = 99;

bool gated(const Node& node) { return node.attributes.has("gate"); }

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(8, {"activation", "gate", "norm_eps", "head_rows", "most_rows", "halves"});
  c.expect_rank(1, 2, "weight");
  const Shape& x = c.input(0).shape;
  const Shape& w = c.input(1).shape;
  if (x.empty() || x.back() != w[1]) {
    c.fail(fmt::format("x is {}, but the weight {} needs a last dimension of {}", to_string(x), to_string(w), w[1]));
  }
  if (gated(c.node) && w[0] % 2 != 0) c.fail("a gated weight needs an even number of rows");
  Shape y = x;
  y.back() = gated(c.node) ? w[0] / 2 : w[0];
  if (c.has(2)) c.expect_shape(2, {w[0]}, "bias");
  if (c.has(3)) c.expect_shape(3, y, "residual");
  if (c.has(4)) c.expect_shape(4, {w[1]}, "norm weight");
  if (c.has(5)) {
    if (c.has(3)) c.fail("has both a residual and a second weight");
    c.expect_rank(5, 2, "second weight");
    const Shape& second = c.input(5).shape;
    if (c.input(5).dtype != c.input(1).dtype) {
      c.fail(fmt::format("the weights are {} and {}, but need one type", dtype_name(c.input(1).dtype),
                         dtype_name(c.input(5).dtype)));
    }
    if (second[1] != y.back()) {
      c.fail(fmt::format("the second weight {} needs a last dimension of {}", to_string(second), y.back()));
    }
    y.back() = second[0];
    if (c.has(6)) c.expect_shape(6, {second[0]}, "second bias");
    if (c.has(7)) c.expect_shape(7, y, "second residual");
  } else if (c.has(6) || c.has(7)) {
    c.fail("has a second bias or residual, but no second weight");
  }
  constexpr std::string_view kNames[] = {"x",
                                         "the weight",
                                         "the bias",
                                         "the residual",
                                         "the norm weight",
                                         "the second weight",
                                         "the second bias",
                                         "the second residual"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (i < 2 || c.has(i)) c.expect_floats(i, kNames[i]);
  }
  const Attributes& a = c.node.attributes;
  const Activation activation = activation_named(a.text("activation", "none"));
  if (gated(c.node)) {
    activation_named(a.text("gate"));
    if (activation != Activation::None) c.fail("has both a gate and an activation; a gate brings its own");
  }
  if (const std::int64_t halves = a.integer("halves", 2); halves != 1 && halves != 2) {
    c.fail(fmt::format("halves is {}, expected 1 or 2", halves));
  }
  if (c.has(4) != a.has("norm_eps")) c.fail("a norm weight and norm_eps go together");
  return {{DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const std::size_t columns = static_cast<std::size_t>(c.shape(1)[1]);
  const std::size_t weight_rows = static_cast<std::size_t>(c.shape(1)[0]);
  const std::size_t n = gated(c.node) ? weight_rows / 2 : weight_rows;
  const std::size_t rows = columns == 0 ? 0 : c.in(0).size() / columns;
  const Activation activation = activation_named(c.node.attributes.text("activation", "none"));
  std::vector<double> x(columns);
  std::vector<double> h(n);
  for (std::size_t t = 0; t < rows; ++t) {
    std::copy_n(c.in(0).begin() + static_cast<std::ptrdiff_t>(t * columns), columns, x.begin());
    if (c.has(4)) {
      double squares = 0.0;
      for (const double v : x) squares += v * v;
      const double scale = 1.0 / std::sqrt(squares / static_cast<double>(columns) + c.node.attributes.real("norm_eps"));
      for (std::size_t k = 0; k < columns; ++k) x[k] *= scale * c.in(4)[k];
    }
    const auto product = [&](std::size_t row) {
      double sum = c.has(2) ? c.in(2)[row] : 0.0;
      for (std::size_t k = 0; k < columns; ++k) sum += x[k] * c.in(1)[row * columns + k];
      return sum;
    };
    for (std::size_t i = 0; i < n; ++i) {
      double y = product(i);
      if (gated(c.node)) {
        y = activate(activation_named(c.node.attributes.text("gate")), y) * product(n + i);
      }
      h[i] = activate(activation, y) + (c.has(3) ? c.in(3)[t * n + i] : 0.0);
    }
    if (!c.has(5)) {
      std::copy(h.begin(), h.end(), c.out(0).begin() + static_cast<std::ptrdiff_t>(t * n));
      continue;
    }
    const std::size_t width = static_cast<std::size_t>(c.shape(5)[0]);
    for (std::size_t i = 0; i < width; ++i) {
      double y = (c.has(6) ? c.in(6)[i] : 0.0) + (c.has(7) ? c.in(7)[t * width + i] : 0.0);
      for (std::size_t k = 0; k < n; ++k) y += h[k] * c.in(5)[i * n + k];
      c.out(0)[t * width + i] = y;
    }
  }
}

/// Columns that the lanes of linear_pair.comp hold together where they have rows of their own.
std::int64_t chunk_columns(std::uint32_t lanes) { return 4 * std::int64_t{lanes}; }

/// Columns between the products that one of its workgroups makes.
std::int64_t columns_a_group(const LinearPair& pair, const JoinedLanes& joined) {
  if (joined.rows) {
    const std::int64_t chunks = pair.hidden / chunk_columns(joined.lanes);
    return ceil_div(chunks, ProductTuning::kFewestGroups) * chunk_columns(joined.lanes);
  }
  constexpr std::int64_t kManyGroups = 64;  // whose sums one of them adds up
  return round_up(ceil_div(pair.hidden, kManyGroups), unit_columns(pair.dtype));
}

/// Rows of the first weight that a lane takes at a time.
std::int64_t sums_of(const LinearPair& pair, const JoinedLanes& joined) {
  return (joined.rows ? 4 : 1) * (pair.gate ? 2 : 1);
}

void lower_pair(Lowering& l, const LinearPair& pair) {
  if (!fits_one_dispatch(pair, l.caps(), l.tuning()) || element_count(l.input(0).shape) != pair.columns) {
    l.fail("cannot run with a second weight; write two linear nodes, which are joined where the device can");
  }
  const std::vector<MatrixPiece> first = l.matrix(1, pair.hidden, pair.gate, 0);
  const std::vector<MatrixPiece> second = l.matrix(5, pair.width, false, 0);
  if (first.size() != 1 || second.size() != 1) l.fail("a weight of a pair of products does not fit one binding");
  const JoinedLanes joined = *joined_lanes(pair.dtype, l.caps(), l.tuning());
  const std::int64_t columns = columns_a_group(pair, joined);
  const auto groups = u32(ceil_div(pair.hidden, columns));
  Dispatch d;
  d.shader = "linear_pair";
  d.variant = {std::string(dtype_name(pair.dtype)), joined.variant()};
  const Binding x = l.read(0, View::F32x4);
  d.bindings = {x,
                first[0].words,
                first[0].scales,
                second[0].words,
                second[0].scales,
                l.read_or(2, View::F32, x),
                l.read_or(4, View::F32x4, x),
                l.read_or(6, View::F32, x),
                l.read_or(7, View::F32, x),
                l.scratch("parts", std::uint64_t{groups} * static_cast<std::uint64_t>(pair.width) * 4),
                l.counter(),
                l.write()};
  d.push_constants = words_of(LinearPairPush{.columns = u32(pair.columns),
                                             .row_units = u32(matrix_row_units(pair.dtype, pair.columns)),
                                             .hidden = u32(pair.hidden),
                                             .row_units_2 = u32(matrix_row_units(pair.dtype, pair.hidden)),
                                             .width = u32(pair.width),
                                             .norm_eps = static_cast<float>(l.attributes().real("norm_eps", 0.0))});
  const Activation activation = activation_named(l.attributes().text(pair.gate ? "gate" : "activation", "none"));
  d.specialization = words_of(LinearPairConstants{.lanes = joined.lanes,
                                                  .activation = static_cast<std::uint32_t>(activation),
                                                  .has_bias = l.has(2),
                                                  .has_norm = l.has(4),
                                                  .gated = pair.gate,
                                                  .band = first[0].band,
                                                  .band_2 = second[0].band,
                                                  .has_bias_2 = l.has(6),
                                                  .has_residual = l.has(7),
                                                  .columns = u32(columns),
                                                  .sharing = joined.sharing});
  d.groups = {groups, 1, 1};
  d.flops = saturating_product(
      {2, u64(pair.hidden),
       saturating_sum(saturating_product({u64(pair.columns), pair.gate ? 2u : 1u}), u64(pair.width))});
  d.bytes = first[0].bytes + second[0].bytes;
  l.emit(std::move(d));
}

void lower(Lowering& l) {
  const bool gate = gated(l.node());
  const Shape& w = l.input(1).shape;
  const DType dtype = l.input(1).dtype;
  const std::int64_t columns = w[1];
  const std::int64_t n = gate ? w[0] / 2 : w[0];
  if (l.has(5)) return lower_pair(l, {dtype, columns, n, l.input(5).shape[0], gate});
  const std::int64_t rows = columns == 0 ? 0 : element_count(l.input(0).shape) / columns;
  if (columns == 0) l.fail("the weight has no columns");
  if (rows == 0 || n == 0) return;

  const View view = linear_view(dtype, columns);
  const LinearEpilogue epilogue = {.activation = static_cast<std::uint32_t>(
                                       activation_named(l.attributes().text(gate ? "gate" : "activation", "none"))),
                                   .bias = l.has(2),
                                   .residual = l.has(3),
                                   .norm_eps = static_cast<float>(l.attributes().real("norm_eps", 0.0))};
  const std::int64_t head_rows = l.attributes().integer("head_rows", 0);
  const auto most_rows = u32(std::max<std::int64_t>(0, l.attributes().integer("most_rows", 0)));
  for (const MatrixPiece& piece : l.matrix(1, n, gate, head_rows)) {
    const LinearWork work = {.dtype = dtype,
                             .rows = u32(rows),
                             .columns = u32(columns),
                             .count = u32(gate ? n : piece.row_count),
                             .first = u32(piece.row_begin),
                             .width = u32(n),
                             .gate = gate,
                             .norm = l.has(4),
                             .head_rows = head_rows,
                             .halves = u32(l.attributes().integer("halves", 2)),
                             .most_rows = most_rows};
    const Binding x = l.read(0, view);
    const LinearBindings bindings = {.x = x,
                                     .weight = piece,
                                     .bias = l.read_or(2, View::F32, x),
                                     .residual = l.read_or(3, View::F32, x),
                                     .norm_weight = l.read_or(4, view, x),
                                     .y = l.write(),
                                     .chosen = l.read_or(kNoInput, View::I32, x)};
    const std::uint64_t flops = saturating_product({2, u64(rows), u64(columns), u64(gate ? w[0] : piece.row_count)});
    if (runs_in_dots(l, work)) {
      emit_linear_dot(l, work, epilogue, bindings, flops, piece.bytes);
      continue;
    }
    if (runs_in_tiles(l, work)) {
      emit_linear_tiles(l, work, epilogue, bindings, flops, piece.bytes);
      continue;
    }
    Dispatch d = linear_dispatch(l, work, epilogue, bindings);
    d.flops = flops;
    d.bytes = piece.bytes;
    l.emit(std::move(d));
  }
}

/// Rows of x; those of the weight are cut by Lowering::matrix.
std::vector<PartAxis> parts(const Lowering& l) {
  std::vector<PartAxis> axes;
  if (l.has(5)) return axes;
  const Shape& x = l.input(0).shape;
  for (std::size_t d = 0; d + 1 < x.size(); ++d) {
    axes.push_back(part_axis(l, x[d], {d, std::nullopt, std::nullopt, d}, {d}));
  }
  return axes;
}

}  // namespace

std::uint64_t file_bytes(DType dtype, std::int64_t rows, std::int64_t columns) {
  const DTypeInfo& type = dtype_info(dtype);
  return static_cast<std::uint64_t>(rows * columns) / type.block_elements * type.block_bytes;
}

std::int64_t multiply_iterations(std::int64_t units) { return 2 * units + 128; }

bool can_shuffle_rows(DType dtype, const DeviceCaps& caps, const Tuning& tuning) {
  return tuning.of(dtype).shuffle_rows && caps.can_hand_on();
}

std::optional<JoinedLanes> joined_lanes(DType dtype, const DeviceCaps& caps, const Tuning& tuning) {
  const ProductTuning& product = tuning.of(dtype);
  if (!product.pairs || !caps.subgroup_arithmetic) return std::nullopt;
  if (product.lane_rows) {
    // A workgroup is a subgroup, whose lanes hold whole units of x together.
    const bool can = caps.can_hand_on() && product.lanes == caps.subgroup_size &&
                     chunk_columns(product.lanes) % unit_columns(dtype) == 0;
    return can ? std::optional<JoinedLanes>({true, product.lanes, 1}) : std::nullopt;
  }
  constexpr std::uint32_t kMostLanes = 256;
  constexpr std::uint32_t kSharing = 8;
  const std::uint32_t most = std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], kMostLanes});
  std::uint32_t lanes = std::max(caps.subgroup_size, kSharing);
  while (2 * lanes <= most) lanes *= 2;
  if (lanes > most || lanes % caps.subgroup_size != 0 || lanes % kSharing != 0) return std::nullopt;
  return JoinedLanes{false, lanes, kSharing};
}

bool weights_fit_one_dispatch(std::uint64_t weights, const DeviceCaps& caps) {
  constexpr std::uint64_t kLarge = 4'000'000;
  // On the device a weight takes up to thrice the space, where rows are a single block.
  return weights < kLarge && 3 * weights <= std::min(caps.max_storage_buffer_range, largest_weight(caps));
}

bool fits_one_dispatch(const LinearPair& pair, const DeviceCaps& caps, const Tuning& tuning) {
  const std::int64_t unit = unit_columns(pair.dtype);
  const std::optional<JoinedLanes> joined = joined_lanes(pair.dtype, caps, tuning);
  if (!joined || kPairBindings > caps.max_storage_buffers || pair.columns % unit != 0 || pair.hidden == 0 ||
      pair.hidden % (joined->rows ? chunk_columns(joined->lanes) : unit) != 0) {
    return false;
  }
  if (!weights_fit_one_dispatch(file_bytes(pair.dtype, pair.hidden * (pair.gate ? 2 : 1), pair.columns) +
                                    file_bytes(pair.dtype, pair.width, pair.hidden),
                                caps)) {
    return false;
  }
  const std::int64_t columns = columns_a_group(pair, *joined);
  const std::int64_t sums = sums_of(pair, *joined);
  const std::int64_t lanes = joined->lanes;
  const std::int64_t shared = columns * 4 + 16 + (joined->rows ? 0 : lanes * (sums + 1) * 4);
  if (shared > caps.max_shared_memory) return false;
  const std::int64_t at_a_time = joined->rows ? chunk_columns(joined->lanes) : lanes / joined->sharing;
  const std::int64_t iterations =
      ceil_div(columns, at_a_time) * multiply_iterations(matrix_row_units(pair.dtype, pair.columns)) +
      (pair.width / (lanes * sums) + 1) * multiply_iterations(columns / unit) +
      (pair.width / lanes + 1) * (ceil_div(pair.hidden, columns) + 1);
  return static_cast<std::uint64_t>(iterations) <= caps.max_loop_iterations;
}

extern const Op op_linear;
const Op op_linear = {.names = {"linear"},
                      .infer = infer,
                      .reference = reference,
                      .lower = lower,
                      .fusions = {{FusionPhase::Products, "gate", fuse_gate},
                                  {FusionPhase::Norms, "norm", fuse_norm},
                                  {FusionPhase::Pairs, "pairs", fuse_pairs},
                                  {FusionPhase::Epilogues, "linear activation", fuse_linear_activation}},
                      .tuning = linear_tuning(),
                      .parts = parts};

}  // namespace heed::ops
