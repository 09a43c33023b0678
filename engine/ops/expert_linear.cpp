// op expert_linear: y[t, j] = act(W[ids[t, j]] x[t]), or W[ids[t, j]] x[t, j]: products with the experts that a row
// chose.
//
// inputs: x [.., K], or [.., k, K] of which each choice has its own; weight [E, N, K]; ids [.., k] i32; by fusion:
// norm_weight [K]?. Output: [.., k, N].
//
// attributes: activation (default none); by fusion: gate (the weight holds 2E experts, of which number E + e goes with
// number e: y = act_gate(A x) * (B x)), norm_eps (x is RMS-normalised first).
//
// The kernels are those of linear. Few rows read the weights of their experts each for itself; where linear takes many
// together, they are first sorted by their experts (expert_tiles.comp), and those of one expert share its weights in
// registers. As there, what a row gives does not depend on the others: tiles only say who shares.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "ops/activation.h"
#include "ops/linear_kernels.h"
#include "ops/linear_tiles.h"
#include "ops/op.h"

namespace heed::ops {
namespace {

constexpr std::size_t kNoInput = 99;

bool gated(const Node& node) { return node.attributes.has("gate"); }

std::int64_t experts_of(const Node& node, const Shape& weight) { return gated(node) ? weight[0] / 2 : weight[0]; }

/// Whether the choices of a row share its x.
bool shares_x(const Shape& x, const Shape& ids) { return x.size() == ids.size(); }

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(4, {"activation", "gate", "norm_eps"});
  c.expect_floats(0, "x");
  c.expect_rank(1, 3, "weight");
  c.expect_floats(1, "the weight");
  c.expect_integers(2, "ids");
  const Shape& x = c.input(0).shape;
  const Shape& w = c.input(1).shape;
  const Shape& ids = c.input(2).shape;
  const bool shares = shares_x(x, ids);
  if (ids.empty() || (!shares && x.size() != ids.size() + 1)) {
    c.fail(
        fmt::format("x is {} and ids {}; expected x of the rank of ids, or of one more", to_string(x), to_string(ids)));
  }
  if (!std::equal(ids.begin(), ids.end() - (shares ? 1 : 0), x.begin())) {
    c.fail(fmt::format("x is {}, whose rows are not those of ids, {}", to_string(x), to_string(ids)));
  }
  if (x.back() != w[2]) {
    c.fail(fmt::format("x is {}, but the weight {} needs a last dimension of {}", to_string(x), to_string(w), w[2]));
  }
  if (gated(c.node) && w[0] % 2 != 0) c.fail("a gated weight needs an even number of experts");
  const Attributes& a = c.node.attributes;
  const Activation activation = activation_named(a.text("activation", "none"));
  if (gated(c.node)) {
    activation_named(a.text("gate"));
    if (activation != Activation::None) c.fail("has both a gate and an activation; a gate brings its own");
  }
  if (c.has(3)) {
    c.expect_shape(3, {w[2]}, "norm weight");
    c.expect_floats(3, "the norm weight");
  }
  if (c.has(3) != a.has("norm_eps")) c.fail("a norm weight and norm_eps go together");
  Shape y = ids;
  y.push_back(w[1]);
  return {{DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const Shape& w = c.shape(1);
  const auto n = static_cast<std::size_t>(w[1]);
  const auto columns = static_cast<std::size_t>(w[2]);
  const std::int64_t experts = experts_of(c.node, w);
  const Attributes& a = c.node.attributes;
  const Activation activation = activation_named(a.text(gated(c.node) ? "gate" : "activation", "none"));
  const auto chosen = static_cast<std::size_t>(c.shape(2).back());
  const bool shares = shares_x(c.shape(0), c.shape(2));
  std::vector<double> x(columns);
  for (std::size_t t = 0; t < c.in(2).size(); ++t) {
    const auto expert = static_cast<std::size_t>(c.index(2, t, experts, false, "expert"));
    const std::size_t row = shares ? t / chosen : t;
    std::copy_n(c.in(0).begin() + static_cast<std::ptrdiff_t>(row * columns), columns, x.begin());
    if (c.has(3)) {
      double squares = 0.0;
      for (const double v : x) squares += v * v;
      const double scale = 1.0 / std::sqrt(squares / static_cast<double>(columns) + a.real("norm_eps"));
      for (std::size_t k = 0; k < columns; ++k) x[k] *= scale * c.in(3)[k];
    }
    const auto product = [&](std::size_t of_expert, std::size_t i) {
      const double* weight = c.in(1).data() + (of_expert * n + i) * columns;
      double sum = 0.0;
      for (std::size_t k = 0; k < columns; ++k) sum += x[k] * weight[k];
      return sum;
    };
    for (std::size_t i = 0; i < n; ++i) {
      double y = activate(activation, product(expert, i));
      if (gated(c.node)) y *= product(expert + static_cast<std::size_t>(experts), i);
      c.out(0)[t * n + i] = y;
    }
  }
}

/// Sorts the rows of y by their experts, where the device's loops are long enough; else leaves `work` as it is.
Binding sort_rows(Lowering& l, const Binding& ids, LinearWork& work) {
  const std::uint64_t rows = work.rows;
  const std::uint64_t experts = work.experts;
  // Mostly full tiles; but a row alone in one costs as much as a full one.
  const std::uint32_t few = rows < 3 * experts ? 2 : linear_tile_rows(l, work, rows / experts);
  const std::uint32_t tile_rows = tile_of_experts(l, work).value_or(few);
  // Every expert may have one tile that is not full.
  const auto tiles = u32(std::min(rows, rows / tile_rows + experts));
  const std::uint32_t lanes = l.lanes(u32(std::min<std::uint64_t>(experts, 128)));
  const std::uint64_t iterations =
      ceil_div(experts, std::uint64_t{lanes}) * (2 * rows + experts + tile_rows) + experts + ceil_div(tiles, lanes) + 8;
  if (iterations > l.caps().max_loop_iterations || experts * 4 > l.caps().max_shared_memory) return ids;
  const Binding sorted = l.scratch("tiles", std::uint64_t{tiles} * (tile_rows + 1) * 4);
  Dispatch d;
  d.shader = "expert_tiles";
  d.bindings = {ids, sorted};
  d.bindings[1].access = Access::Write;
  d.push_constants = {work.rows, tiles};
  d.specialization = {lanes, work.experts, tile_rows};
  l.emit(std::move(d));
  work.tile_rows = tile_rows;
  work.tiles = tiles;
  Binding read = sorted;
  read.access = Access::Read;
  read.view = View::I32;
  return read;
}

void lower(Lowering& l) {
  const bool gate = gated(l.node());
  const Shape& w = l.input(1).shape;
  const DType dtype = l.input(1).dtype;
  const std::int64_t experts = experts_of(l.node(), w);
  const std::int64_t n = w[1];
  const std::int64_t columns = w[2];
  const Shape& ids = l.input(2).shape;
  const std::int64_t rows = element_count(ids);
  if (columns == 0) l.fail("the weight has no columns");
  if (rows == 0) return;
  // route chooses among those that there are.
  const TensorType* logits = l.input_of_maker(2, "route");
  if (logits == nullptr || logits->shape.back() > experts) l.check_indices(2, "expert", {experts}, false);
  if (n == 0) return;
  LinearWork work = {.dtype = dtype,
                     .rows = u32(rows),
                     .columns = u32(columns),
                     .width = u32(n),
                     .gate = gate,
                     .norm = l.has(3),
                     .experts = u32(experts),
                     .sharers = shares_x(l.input(0).shape, ids) ? u32(ids.back()) : 1};
  Binding chosen = l.read(2, View::I32);
  if (rows / ids.back() >= kMatrixRows && fits_tiles(l, work)) chosen = sort_rows(l, chosen, work);
  const View view = linear_view(dtype, columns);
  const LinearEpilogue epilogue = {.activation = static_cast<std::uint32_t>(
                                       activation_named(l.attributes().text(gate ? "gate" : "activation", "none"))),
                                   .norm_eps = static_cast<float>(l.attributes().real("norm_eps", 0.0))};
  // Rows that read the weights of an expert: sorted ones share them.
  const std::uint64_t readers = work.tile_rows > 0 ? std::min(u64(rows), u64(experts)) : u64(rows);
  for (const MatrixPiece& piece : l.matrix(1, n, gate, 0)) {
    work.count = u32(gate ? piece.row_count / 2 : piece.row_count);
    work.first = u32(piece.row_begin);
    const Binding x = l.read(0, view);
    const LinearBindings bindings = {.x = x,
                                     .weight = piece,
                                     .bias = l.read_or(kNoInput, View::F32, x),
                                     .residual = l.read_or(kNoInput, View::F32, x),
                                     .norm_weight = l.read_or(3, view, x),
                                     .y = l.write(),
                                     .chosen = chosen};
    const auto share = [&](std::uint64_t whole) { return saturating_product({whole, readers}) / u64(experts); };
    const std::uint64_t bytes = share(piece.bytes);
    const std::uint64_t flops = saturating_product({2, u64(rows), u64(columns), u64(piece.row_count)}) / u64(experts);
    if (runs_in_tiles(l, work)) {
      emit_linear_tiles(l, work, epilogue, bindings, flops, bytes);
      continue;
    }
    Dispatch d = linear_dispatch(l, work, epilogue, bindings);
    d.bytes = bytes;
    d.flops = flops;
    l.emit(std::move(d));
  }
}

}  // namespace

extern const Op op_expert_linear;
const Op op_expert_linear = {{"expert_linear"}, infer, reference, lower};

}  // namespace heed::ops
