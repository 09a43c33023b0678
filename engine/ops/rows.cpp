// op tail, positions. tail(x [T, ..]) -> its last R rows; attribute rows names the dimension that says R.
// positions(position [1] i32) -> [T] i32: position, position + 1, ...; attribute rows names the dimension that says T.
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(1, {"rows"});
  const std::int64_t rows = c.dim("rows");
  if (c.node.op == "positions") {
    c.expect_shape(0, {1}, "position");
    if (c.input(0).dtype != DType::I32) c.fail("position must be i32");
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
    const auto first = static_cast<double>(c.position(0));
    for (std::size_t t = 0; t < y.size(); ++t) y[t] = first + static_cast<double>(t);
    return;
  }
  std::copy(c.in(0).end() - static_cast<std::ptrdiff_t>(y.size()), c.in(0).end(), y.begin());
}

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
  Dispatch d;
  d.shader = "rows";
  // Copied as words, so floats keep their bits.
  d.bindings = {l.read(0, View::I32), l.write()};
  d.push_constants = {u32(count), skip};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, positions};
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_rows;
const Op op_rows = {{"tail", "positions"}, infer, reference, lower};

}  // namespace heed::ops
