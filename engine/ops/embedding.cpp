// op embedding: rows of a table. ids [T] i32, table [V, D] -> [T, D] times attribute scale (default 1). An id outside
// [0, V) is an error.
#include <algorithm>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"scale"});
  c.expect_rank(1, 2, "table");
  if (c.input(0).dtype != DType::I32) c.fail("ids must be i32");
  if (element_count(c.input(1).shape) == 0) c.fail("the table is empty");
  c.expect_floats(1, "the table");
  Shape y = c.input(0).shape;
  y.push_back(c.input(1).shape[1]);
  return {{DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const std::int64_t rows = c.shape(1)[0];
  const std::size_t width = static_cast<std::size_t>(c.shape(1)[1]);
  const double scale = c.node.attributes.real("scale", 1.0);
  for (std::size_t t = 0; t < c.in(0).size(); ++t) {
    const auto id = static_cast<std::size_t>(c.index(0, t, rows, false, "id"));
    for (std::size_t k = 0; k < width; ++k) {
      c.out(0)[t * width + k] = scale * c.in(1)[id * width + k];
    }
  }
}

void lower(Lowering& l) {
  const Shape& table = l.input(1).shape;
  const DType dtype = l.input(1).dtype;
  const auto tokens = u32(element_count(l.input(0).shape));
  l.check_indices(0, "id", {table[0]}, false);
  const std::uint32_t lanes = l.lanes(8);
  const auto units = u32(matrix_row_units(dtype, table[1]));
  for (const MatrixPiece& piece : l.matrix(1, table[0], false, 0)) {
    Dispatch d;
    d.shader = "embedding";
    d.variant = {std::string(dtype_name(dtype))};
    d.bindings = {l.read(0, View::I32), piece.words, piece.scales, l.write()};
    d.push_constants = {tokens,
                        u32(table[1]),
                        units,
                        u32(piece.row_begin),
                        u32(piece.row_count),
                        u32(table[0]),
                        bits(l.attributes().real("scale", 1.0))};
    d.specialization = {lanes, piece.band};
    d.groups = l.spread(ceil_div(std::uint64_t{tokens} * units, lanes));
    l.emit(std::move(d));
  }
}

std::vector<PartAxis> parts(const Lowering& l) {
  std::vector<PartAxis> axes;
  const Shape& ids = l.input(0).shape;
  for (std::size_t d = 0; d < ids.size(); ++d) axes.push_back(part_axis(l, ids[d], {d}, {d}));
  return axes;
}

}  // namespace

extern const Op op_embedding;
const Op op_embedding = {
    .names = {"embedding"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
