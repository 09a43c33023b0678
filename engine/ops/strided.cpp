#include "ops/strided.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "graph/integer.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {
constexpr std::size_t kLoops = 8;  // of shaders/strided.comp

/// Of a binding.
std::uint64_t most_bytes(const Lowering& l, const Binding& binding) {
  const bool texel = binding.view != View::None && l.tuning().texel;
  return std::max(l.caps().max_storage_buffer_range, texel ? l.caps().max_texel_buffer_elements * 4 : 0);
}

/// What the loops touch of an operand, as a binding that begins where bindings may; `first` counts from there then.
Binding touched(const Lowering& l, Binding whole, const Loops& loops, std::size_t operand, std::int64_t& first) {
  std::int64_t least = first;
  std::int64_t most = first;
  for (std::size_t d = 0; d < loops.sizes.size(); ++d) {
    const std::int64_t reach = (loops.sizes[d] - 1) * loops.strides[operand][d];
    (reach < 0 ? least : most) += reach;
  }
  const std::uint64_t begin = whole.offset + u64(least) * 4;
  const std::uint64_t end = std::min(whole.offset + round_up(u64(most + 1) * 4, 16), whole.offset + whole.size);
  const std::uint64_t aligned = begin / l.caps().buffer_alignment * l.caps().buffer_alignment;
  first -= (static_cast<std::int64_t>(aligned) - static_cast<std::int64_t>(whole.offset)) / 4;
  whole.offset = aligned;
  whole.size = end - aligned;
  return whole;
}

/// Copies in several dispatches, each of which binds no more of x and y than the device allows.
void emit_within_limits(Lowering& l, const Binding& x, const Binding& y, const StridedCopy& copy) {
  StridedCopy part = copy;
  const Binding bound[] = {touched(l, x, copy.loops, 0, part.x_first), touched(l, y, copy.loops, 1, part.y_first)};
  const bool too_large[] = {bound[0].size > most_bytes(l, x), bound[1].size > most_bytes(l, y)};
  // The loop that takes the operand furthest that is too large.
  std::size_t longest = copy.loops.sizes.size();
  std::int64_t furthest = 0;
  for (std::size_t d = 0; d < copy.loops.sizes.size(); ++d) {
    for (std::size_t operand = 0; operand < 2; ++operand) {
      const std::int64_t reach = (copy.loops.sizes[d] - 1) * std::abs(copy.loops.strides[operand][d]);
      if (!too_large[operand] || reach <= furthest) continue;
      furthest = reach;
      longest = d;
    }
  }
  if (longest == copy.loops.sizes.size()) return emit_copy(l, bound[0], bound[1], std::move(part));
  const std::int64_t size = copy.loops.sizes[longest];
  // Halves that begin at multiples of four still copy vectors.
  std::int64_t half = ceil_div<std::int64_t>(size, 2);
  if (half > 4) half = ceil_div<std::int64_t>(half, 4) * 4;
  for (std::int64_t begin = 0; begin < size; begin += half) {
    StridedCopy piece = copy;
    piece.loops.sizes[longest] = std::min(half, size - begin);
    piece.x_first += begin * copy.loops.strides[0][longest];
    piece.y_first += begin * copy.loops.strides[1][longest];
    emit_within_limits(l, x, y, piece);
  }
}

}  // namespace

void emit_copy(Lowering& l, const Binding& x, const Binding& y, StridedCopy copy) {
  const auto count = static_cast<std::uint64_t>(element_count(copy.loops.sizes));
  if (count == 0) return;
  if (x.size > most_bytes(l, x) || y.size > most_bytes(l, y)) {
    copy.loops.merge();
    return emit_within_limits(l, x, y, copy);
  }
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
