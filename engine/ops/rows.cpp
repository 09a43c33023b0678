// op tail, positions. tail(x [T, ..]) -> its last R rows; attribute rows names the dimension that says R.
// positions(position [1] i32?) -> [T] i32: position (0 if absent), position + 1, ...; attribute rows names the
// dimension that says T. Of positions [T], each row's own, it makes 0 of what is below: rows that are padding have -1.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"rows"});
  const std::int64_t rows = c.dim("rows");
  if (c.node.op == "positions") {
    if (c.has(0)) {
      c.expect_rank(0, 1, "position");
      if (c.input(0).shape[0] != 1) c.expect_shape(0, {rows}, "position");
      c.expect_integers(0, "position");
    }
    return {{DType::I32, {rows}}};
  }
  Shape y = c.input(0).shape;
  if (y.empty() || rows > y[0]) {
    c.fail(fmt::format("wants the last {} rows of {}", rows, to_string(y)));
  }
  y[0] = rows;
  return {{c.input(0).dtype, y}};
}

void reference(const ReferenceContext& c) {
  std::vector<double>& y = c.out(0);
  if (c.node.op == "positions") {
    const bool each = c.has(0) && c.shape(0)[0] != 1;
    const double first = c.has(0) && !each ? static_cast<double>(c.position(0)) : 0.0;
    for (std::size_t t = 0; t < y.size(); ++t) {
      y[t] = each ? std::max(0.0, c.in(0)[t]) : first + static_cast<double>(t);
    }
    return;
  }
  std::copy(c.in(0).end() - static_cast<std::ptrdiff_t>(y.size()), c.in(0).end(), y.begin());
}

/// What shaders/rows.comp makes of x.
enum class RowsKind : std::uint32_t { Copy = 0, CountUp = 1, NoneBelowZero = 3 };

void lower(Lowering& l) {
  const auto count = static_cast<std::uint64_t>(element_count(l.output().shape));
  const bool positions = l.node().op == "positions";
  std::uint32_t skip = 0;
  if (!positions) {
    const auto from = static_cast<std::uint64_t>(element_count(l.input(0).shape));
    if (from > 0xffffffffu) l.fail("more than 2^32 elements");
    skip = u32(from - count);
    if (l.alias(0, 0, std::uint64_t{skip} * 4)) return;
  }
  RowsKind kind = RowsKind::Copy;
  if (positions) kind = l.has(0) && l.input(0).shape[0] != 1 ? RowsKind::NoneBelowZero : RowsKind::CountUp;
  Dispatch d;
  d.shader = "rows";
  // Copied as words, so floats keep their bits.
  constexpr std::array<std::int32_t, 1> kZero = {0};
  const bool from_zero = positions && !l.has(0);  // of more rows than are computed beforehand
  d.bindings = {from_zero ? l.constant("zero", kZero, View::I32) : l.read(0, View::I32), l.write()};
  d.push_constants = {u32(count), skip};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, static_cast<std::uint32_t>(kind)};
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_rows;
const Op op_rows = {{"tail", "positions"}, infer, reference, lower};

}  // namespace heed::ops
