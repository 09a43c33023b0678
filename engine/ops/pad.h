#pragma once

#include "graph/shape.h"
#include "plan/plan.h"

namespace heed {
class Lowering;

namespace ops {

/// What lies around a tensor; in the numbering of shaders/pad.comp.
enum class PadMode : std::uint32_t { Constant, Reflect, Edge, Wrap };

/// y[i] = x[x_first + (i - begin) . stride] where i - begin lies within x's size in each dimension; what lies outside
/// is as the mode says. Strides may be negative or permute dimensions.
struct Padding {
  Shape y;
  Shape x;
  Shape begin;
  Shape stride;
  std::int64_t x_first = 0;
};

/// Appends the dispatch that pads 32-bit words of any type. `value` holds one word, for PadMode::Constant.
void emit_pad(Lowering& l, const Binding& x, const Binding& y, Padding padding, PadMode mode, const Binding& value);

}  // namespace ops
}  // namespace heed
