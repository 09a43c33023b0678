// op where: y = condition ? a : b, element by element.
//
// inputs: condition (bool), a, b (of one type), which broadcast as NumPy does it.
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/words.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 8;  // of shaders/where.comp

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {});
  if (is_floating(c.input(0).dtype)) {
    c.fail(fmt::format("the condition is {}, expected booleans", dtype_name(c.input(0).dtype)));
  }
  const DType a = moved_type(c.input(1).dtype);
  const DType b = moved_type(c.input(2).dtype);
  if (a != b && !(is_floating(a) && is_floating(b))) {
    c.fail(fmt::format("chooses between {} and {}, expected the same type", dtype_name(a), dtype_name(b)));
  }
  const auto joined = [&](const Shape& left, const Shape& right) {
    const std::optional<Shape> y = broadcast(left, right);
    if (!y) c.fail(fmt::format("{} and {} do not broadcast", to_string(left), to_string(right)));
    return *y;
  };
  return {{a == b ? a : DType::F32, joined(joined(c.input(0).shape, c.input(1).shape), c.input(2).shape)}};
}

void reference(const ReferenceContext& c) {
  const Shape& y = c.outputs[0]->type.shape;
  const Loops loops = {
      y, {broadcast_strides(c.shape(0), y), broadcast_strides(c.shape(1), y), broadcast_strides(c.shape(2), y)}};
  LoopCounter at(loops);
  for (double& value : c.out(0)) {
    const std::size_t chosen = c.in(0)[static_cast<std::size_t>(at.at(0))] != 0.0 ? 1 : 2;
    value = c.in(chosen)[static_cast<std::size_t>(at.at(chosen))];
    at.next();
  }
}

void lower(Lowering& l) {
  const Shape& y = l.output().shape;
  const auto count = static_cast<std::uint64_t>(element_count(y));
  if (count == 0) return;
  if (count > 0xffffffffu) l.fail("more than 2^32 elements");
  Loops loops = {y, {}};
  for (std::size_t i = 0; i < 3; ++i) loops.strides.push_back(broadcast_strides(l.input(i).shape, y));
  loops.merge();
  const std::uint32_t used = std::max(1u, u32(static_cast<std::int64_t>(loops.count())));
  loops.pad(kLoops);
  Dispatch d;
  d.shader = "where";
  d.bindings = {l.read(0, View::I32), l.read(1, View::I32), l.read(2, View::I32), l.write()};
  d.push_constants = {u32(count)};
  for (std::size_t i = 1; i < kLoops; ++i) d.push_constants.push_back(u32(loops.sizes[i]));
  for (const Shape& strides : loops.strides) {
    for (const std::int64_t stride : strides) d.push_constants.push_back(i32(stride));
  }
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, used};
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  return parts_along(l, 3, [](std::size_t) { return false; });
}

}  // namespace

extern const Op op_where;
const Op op_where = {.names = {"where"}, .infer = infer, .reference = reference, .lower = lower, .parts = parts};

}  // namespace heed::ops
