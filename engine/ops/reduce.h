#pragma once

#include "ops/loops.h"
#include "ops/op.h"
#include "plan/plan.h"

namespace heed::ops {

enum class Reduction { Sum, Mean, Max, Min, Product, L1, L2, LogSum, LogSumExp, SumSquare };

/// Appends the dispatches that reduce x to y, one element for each step of the loops `kept`, in their order, dense;
/// over the steps of the loops `reduced`. Both have one operand, x, which begins at element x_first. `type` is that of
/// the elements of x and y. Does nothing where there are no results.
void emit_reduction(Lowering& l, Reduction reduction, DType type, const Binding& x, const Binding& y, Loops kept,
                    Loops reduced, std::int64_t x_first = 0);

}  // namespace heed::ops
