#pragma once

#include "ops/loops.h"
#include "ops/op.h"
#include "plan/plan.h"

namespace heed::ops {

/// y[y_first + ...] = x[x_first + ...] over nested loops: operand 0 of `loops` is x, operand 1 is y. Strides may be
/// negative, and 0 in x.
struct StridedCopy {
  Loops loops;
  std::int64_t x_first = 0;
  std::int64_t y_first = 0;
};

/// Appends the dispatch that copies 32-bit words of any type. Does nothing for empty loops.
void emit_copy(Lowering& l, const Binding& x, const Binding& y, StridedCopy copy);
void copy_reference(const std::vector<double>& x, std::vector<double>& y, const StridedCopy& copy);

/// What an op that copies once from input 0 to output 0 does.
void lower_copy(Lowering& l, const StridedCopy& copy);

}  // namespace heed::ops
