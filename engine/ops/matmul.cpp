// op matmul: y = alpha a b, matrices as NumPy multiplies them.
//
// inputs: a [.., M, K], b [.., K, N]; the dimensions before the last two broadcast. An a of one dimension is a row, a b
// of one dimension is a column, and y lacks that dimension. Attributes: transpose_a, transpose_b (default 0: the last
// two dimensions are swapped), alpha (default 1).
#include "ops/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "graph/integer.h"
#include "ops/reduce.h"
#include "ops/same_reads.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kBatchLoops = 6;  // of shaders/matmul.comp
constexpr std::size_t kPackLoops = 8;   // of shaders/matmul_pack.comp

/// Matrices of a tensor.
struct Operand {
  Shape batch;
  std::int64_t rows, columns;
  std::int64_t row_stride, column_stride;
};

Operand operand(const Shape& shape, bool left, bool transposed) {
  if (shape.size() == 1) return left ? Operand{{}, 1, shape[0], shape[0], 1} : Operand{{}, shape[0], 1, 1, 1};
  const std::int64_t rows = shape[shape.size() - 2];
  const std::int64_t columns = shape.back();
  const Shape batch(shape.begin(), shape.end() - 2);
  if (transposed) return {batch, columns, rows, 1, columns};
  return {batch, rows, columns, columns, 1};
}

struct Product {
  Operand a, b;
  Shape batch;
};

Product product(const Node& node, const Shape& a, const Shape& b) {
  Product p = {operand(a, true, node.attributes.integer("transpose_a", 0) != 0),
               operand(b, false, node.attributes.integer("transpose_b", 0) != 0),
               {}};
  p.batch = broadcast(p.a.batch, p.b.batch).value_or(Shape{});
  return p;
}

/// Elements from matrix to matrix.
Shape batch_strides(const Operand& o, const Shape& batch) {
  Shape strides = broadcast_strides(o.batch, batch);
  for (std::int64_t& stride : strides) stride *= o.rows * o.columns;
  return strides;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"transpose_a", "transpose_b", "alpha"});
  const Shape& a = c.input(0).shape;
  const Shape& b = c.input(1).shape;
  const bool integers = c.input(0).dtype == DType::I32 && c.input(1).dtype == DType::I32;
  if (!integers) {
    c.expect_floats(0, "a");
    c.expect_floats(1, "b");
  } else if (c.node.attributes.real("alpha", 1.0) != 1.0) {
    c.fail("integers have no alpha");
  }
  if (a.empty() || b.empty())
    c.fail(fmt::format("multiplies {} and {}, of which one is a scalar", to_string(a), to_string(b)));
  for (const auto& [name, shape] : {std::pair<std::string_view, const Shape&>{"transpose_a", a}, {"transpose_b", b}}) {
    if (shape.size() == 1 && c.node.attributes.integer(name, 0) != 0) {
      c.fail(fmt::format("{} swaps the last two dimensions, but there is one", name));
    }
  }
  const Product p = product(c.node, a, b);
  if (p.a.columns != p.b.rows || !broadcast(p.a.batch, p.b.batch)) {
    c.fail(fmt::format("{} and {} do not multiply", to_string(a), to_string(b)));
  }
  Shape y = p.batch;
  if (a.size() > 1) y.push_back(p.a.rows);
  if (b.size() > 1) y.push_back(p.b.columns);
  return {{integers ? DType::I32 : DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const Product p = product(c.node, c.shape(0), c.shape(1));
  const double alpha = c.node.attributes.real("alpha", 1.0);
  const Loops batches = {p.batch, {batch_strides(p.a, p.batch), batch_strides(p.b, p.batch)}};
  LoopCounter at(batches);
  const bool integers = !is_floating(c.outputs[0]->type.dtype);
  std::size_t to = 0;
  for (std::int64_t batch = element_count(p.batch); batch > 0; --batch, at.next()) {
    for (std::int64_t m = 0; m < p.a.rows; ++m) {
      for (std::int64_t n = 0; n < p.b.columns; ++n) {
        double sum = 0.0;
        std::uint64_t integer_sum = 0;
        for (std::int64_t k = 0; k < p.a.columns; ++k) {
          const double x = c.in(0)[static_cast<std::size_t>(at.at(0) + m * p.a.row_stride + k * p.a.column_stride)];
          const double w = c.in(1)[static_cast<std::size_t>(at.at(1) + k * p.b.row_stride + n * p.b.column_stride)];
          if (integers) {
            integer_sum += wrapping_product(x, w);
          } else {
            sum += x * w;
          }
        }
        c.out(0)[to++] = integers ? static_cast<std::int32_t>(integer_sum) : alpha * sum;
      }
    }
  }
}

void lower(Lowering& l) {
  const Product p = product(l.node(), l.input(0).shape, l.input(1).shape);
  const DType type = l.output().dtype;
  const auto matrices = [&](std::size_t i, const Operand& o) {
    return Matrices{l.read(i, is_floating(type) ? View::F32 : View::I32),
                    {p.batch, {batch_strides(o, p.batch)}},
                    {{o.rows}, {{o.row_stride}}},
                    {{o.columns}, {{o.column_stride}}}};
  };
  emit_product(l, matrices(0, p.a), matrices(1, p.b), l.write(), l.attributes().real("alpha", 1.0), type);
}

std::vector<PartAxis> parts(const Lowering& l) {
  const Shape& a = l.input(0).shape;
  const Shape& b = l.input(1).shape;
  const Shape& y = l.output().shape;
  const std::size_t matrix_dims = (a.size() > 1 ? 1u : 0u) + (b.size() > 1 ? 1u : 0u);
  const std::size_t batches = y.size() - matrix_dims;
  std::vector<PartAxis> axes;
  for (std::size_t d = 0; d < batches; ++d) {
    // Of an operand that has this dimension and is not repeated along it.
    const auto dim_of = [&](const Shape& x) -> std::optional<std::size_t> {
      const std::size_t own = x.size() < 2 ? 0 : x.size() - 2;
      if (own + d < batches || x[own + d - batches] != y[d]) return std::nullopt;
      return own + d - batches;
    };
    axes.push_back(part_axis(l, y[d], {dim_of(a), dim_of(b)}, {d}));
  }
  if (a.size() > 1) {
    const bool turned = l.attributes().integer("transpose_a", 0) != 0;
    axes.push_back(part_axis(l, y[batches], {turned ? a.size() - 1 : a.size() - 2}, {batches}));
  }
  if (b.size() > 1) {
    const bool turned = l.attributes().integer("transpose_b", 0) != 0;
    axes.push_back(part_axis(l, y.back(), {std::nullopt, turned ? b.size() - 2 : b.size() - 1}, {y.size() - 1}));
  }
  return axes;
}

std::int64_t count(const Loops& loops) { return element_count(loops.sizes); }
std::int64_t up_to_four(std::int64_t size) { return ceil_div(size, 4) * 4; }

/// Matrices of whole vec4s.
struct Packed {
  Binding x;
  Shape batch_strides;  // in elements
  std::int64_t row;     // elements from row to row
};

/// The matrices where they are, if their rows are whole vec4s already.
std::optional<Packed> as_they_are(const Matrices& m, bool whole_rows) {
  Loops rows = m.rows;
  Loops columns = m.columns;
  rows.merge();
  columns.merge();
  if (rows.count() > 1 || columns.count() != 1 || columns.strides[0][0] != 1) return std::nullopt;
  const std::int64_t row = rows.count() == 0 ? count(m.columns) : rows.strides[0][0];
  const auto whole = [](std::int64_t size) { return size % 4 == 0; };
  if (!whole(count(m.columns)) || !whole(row) || (whole_rows && !whole(count(m.rows)))) return std::nullopt;
  if (!std::ranges::all_of(m.batch.strides[0], whole)) return std::nullopt;
  return Packed{m.x, m.batch.strides[0], row};
}

Packed pack(Lowering& l, const Matrices& m, const std::string& name, bool whole_rows) {
  Packed packed = {{}, Shape(m.batch.count(), 0), up_to_four(count(m.columns))};
  const std::int64_t rows = count(m.rows);
  const std::int64_t padded_rows = whole_rows ? up_to_four(rows) : rows;
  Loops loops{{}, {{}}};
  std::int64_t matrices = 1;
  for (std::size_t d = m.batch.count(); d-- > 0;) {
    if (m.batch.strides[0][d] == 0) continue;  // one matrix for all of these
    packed.batch_strides[d] = matrices * padded_rows * packed.row;
    matrices *= m.batch.sizes[d];
    loops.sizes.insert(loops.sizes.begin(), m.batch.sizes[d]);
    loops.strides[0].insert(loops.strides[0].begin(), m.batch.strides[0][d]);
  }
  for (const Loops* inner : {&m.rows, &m.columns}) {
    loops.sizes.insert(loops.sizes.end(), inner->sizes.begin(), inner->sizes.end());
    loops.strides[0].insert(loops.strides[0].end(), inner->strides[0].begin(), inner->strides[0].end());
  }
  loops.merge();
  if (loops.count() > kPackLoops) l.fail(fmt::format("an operand needs more than {} loops", kPackLoops));
  const std::int64_t elements = matrices * padded_rows * packed.row;
  if (elements > 0xffffffff) l.fail("an operand has more than 2^32 elements");
  packed.x = l.scratch(name, static_cast<std::uint64_t>(elements) * 4);
  Dispatch d;
  d.shader = "matmul_pack";
  d.bindings = {m.x, packed.x};
  d.bindings[0].view = View::I32;
  d.bindings[1].access = Access::Write;
  d.push_constants = {u32(elements), u32(rows), u32(count(m.columns)), u32(padded_rows), u32(packed.row)};
  const std::uint32_t used = std::max(1u, u32(static_cast<std::int64_t>(loops.count())));
  loops.pad(kPackLoops);
  for (std::size_t i = 1; i < kPackLoops; ++i) d.push_constants.push_back(u32(loops.sizes[i]));
  for (const std::int64_t stride : loops.strides[0]) d.push_constants.push_back(i32(stride));
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, used};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(elements), lanes));
  l.emit(std::move(d));
  return packed;
}

}  // namespace

void emit_product(Lowering& l, const Matrices& a, const Matrices& b, const Binding& y, double alpha, DType type) {
  const std::int64_t batches = count(a.batch);
  const std::int64_t rows = count(a.rows);
  const std::int64_t columns = count(b.columns);
  const std::int64_t inner = count(a.columns);
  if (batches == 0 || rows == 0 || columns == 0) return;
  if (batches * rows * columns > 0xffffffff) l.fail("more than 2^32 elements");

  Packed left = {a.x, Shape(a.batch.count(), 0), 0};
  Packed right = {b.x, left.batch_strides, 0};
  if (inner > 0) {
    const std::optional<Packed> a_direct = as_they_are(a, false);
    left = a_direct ? *a_direct : pack(l, a, "a", false);
    const std::optional<Packed> b_direct = as_they_are(b, true);
    right = b_direct ? *b_direct : pack(l, b, "b", true);
  }
  Loops batch = {a.batch.sizes, {left.batch_strides, right.batch_strides}};
  batch.merge();
  if (batch.count() > kBatchLoops) l.fail(fmt::format("needs more than {} loops over matrices", kBatchLoops));
  batch.pad(kBatchLoops);

  // Large tiles need few fetches, but a device wants enough lanes.
  constexpr std::int64_t kFewLanes = 256;
  const std::int64_t quads = ceil_div(columns, 4);
  std::int64_t tile = std::min<std::int64_t>(8, u32(std::bit_ceil(static_cast<std::uint64_t>(rows))));
  while (tile > 1 && batches * ceil_div(rows, tile) * quads < kFewLanes) tile /= 2;
  const std::uint32_t lanes = l.lanes(8);
  std::uint32_t width = lanes;
  while (width > 1 && width % 2 == 0 && width / 2 >= quads) width /= 2;
  const bool narrow = width < lanes;
  const std::int64_t row_groups = ceil_div(rows, tile * (lanes / width));
  const std::int64_t column_groups = ceil_div(quads, std::int64_t{width});

  // Long sums of few elements are cut in parts that are added up afterwards: for more lanes, and because loops of older
  // llvmpipe end (DeviceCaps::max_loop_iterations).
  constexpr std::int64_t kFewWords = 64;
  const std::int64_t words = ceil_div(inner, 4);
  const auto most = static_cast<std::int64_t>(std::min<std::uint64_t>(l.caps().max_loop_iterations, 1u << 30)) - 128;
  const std::int64_t enough = kFewLanes / (batches * ceil_div(rows, tile) * quads);
  const std::int64_t parts = std::max({std::min(enough, words / kFewWords), ceil_div(words, most), std::int64_t{1}});
  if (batches * parts * rows * columns > 0xffffffff) l.fail("has more than 2^32 parts of sums");
  const Binding sums =
      parts == 1 ? y : l.scratch("parts", static_cast<std::uint64_t>(batches * parts * rows * columns) * 4);

  Dispatch d;
  d.shader = "matmul";
  const bool real = is_floating(type);
  d.bindings = {left.x, right.x, sums};
  d.bindings[0].access = d.bindings[1].access = Access::Read;
  d.bindings[0].view = d.bindings[1].view = real ? View::F32x4 : View::U32x4;
  d.bindings[2].access = Access::Write;
  if (real && !narrow) {
    choose_same_reads(l, d, {0}, false);
  } else {
    d.variant.emplace_back("read");
  }
  d.variant.emplace_back(real ? "real" : "integer");
  d.push_constants = {u32(batches), u32(rows),         u32(columns),       u32(parts),      u32(ceil_div(words, parts)),
                      u32(words),   u32(left.row / 4), u32(right.row / 4), u32(row_groups), u32(column_groups),
                      width,        bits(alpha)};
  for (std::size_t i = 1; i < kBatchLoops; ++i) d.push_constants.push_back(u32(batch.sizes[i]));
  for (const Shape& strides : batch.strides) {
    for (const std::int64_t stride : strides) d.push_constants.push_back(i32(stride / 4));
  }
  d.specialization = {lanes, u32(tile), narrow};
  d.groups = l.spread(static_cast<std::uint64_t>(batches * parts * row_groups * column_groups));
  d.flops = saturating_product({2, u64(batches), u64(rows), u64(columns), u64(inner)});
  l.emit(std::move(d));
  if (parts == 1) return;
  const std::int64_t elements = rows * columns;
  emit_reduction(l, Reduction::Sum, type, sums, y, {{batches, elements}, {{parts * elements, 1}}},
                 {{parts}, {{elements}}});
}

Binding emit_packed(Lowering& l, const Matrices& matrices, const std::string& name) {
  return pack(l, matrices, name, false).x;
}

extern const Op op_matmul;
const Op op_matmul = {.names = {"matmul"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
