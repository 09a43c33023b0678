#include "ops/strided.h"

#include <fmt/format.h>

#include "graph/integer.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {
constexpr std::size_t kLoops = 8;  // of shaders/strided.comp
}  // namespace

void emit_copy(Lowering& l, const Binding& x, const Binding& y, StridedCopy copy) {
  const auto count = static_cast<std::uint64_t>(element_count(copy.loops.sizes));
  if (count == 0) return;
  if (count > 0x7fffffffu) l.fail("more than 2^31 elements");
  copy.loops.merge();
  const auto innermost = [&](std::size_t operand) { return copy.loops.strides[operand].back(); };
  const bool vectors = copy.loops.count() > 0 && copy.x_first % 4 == 0 && copy.y_first % 4 == 0 && innermost(0) == 1 &&
                       innermost(1) == 1 && copy.loops.vectorise();
  const std::int64_t width = vectors ? 4 : 1;
  const auto used = static_cast<std::int64_t>(copy.loops.count());
  copy.loops.pad(kLoops);
  Dispatch d;
  d.shader = "strided";
  d.variant = {vectors ? "4" : "1"};
  d.bindings = {x, y};
  if (vectors) d.bindings[0].view = View::U32x4;
  const std::uint64_t steps = count / static_cast<std::uint64_t>(width);
  d.push_constants = {u32(steps), i32(copy.x_first / width), i32(copy.y_first / width)};
  for (std::size_t i = 1; i < kLoops; ++i) d.push_constants.push_back(u32(copy.loops.sizes[i]));
  for (const Shape& strides : copy.loops.strides) {
    for (const std::int64_t stride : strides) d.push_constants.push_back(i32(stride));
  }
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, u32(std::max<std::int64_t>(1, used))};
  d.groups = l.spread(ceil_div(steps, lanes));
  l.emit(std::move(d));
}

void copy_reference(const std::vector<double>& x, std::vector<double>& y, const StridedCopy& copy) {
  LoopCounter at(copy.loops);
  for (std::int64_t i = element_count(copy.loops.sizes); i > 0; --i) {
    y[static_cast<std::size_t>(copy.y_first + at.at(1))] = x[static_cast<std::size_t>(copy.x_first + at.at(0))];
    at.next();
  }
}

void lower_copy(Lowering& l, const StridedCopy& copy) { emit_copy(l, l.read(0, View::I32), l.write(), copy); }

}  // namespace heed::ops
