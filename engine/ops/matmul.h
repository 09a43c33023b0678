#pragma once

#include <cstdint>
#include <string>

#include "ops/loops.h"
#include "ops/op.h"
#include "plan/plan.h"

namespace heed::ops {

/// Matrices wherever they lie in a tensor: loops, with one operand, over their number, their rows and their columns.
struct Matrices {
  Binding x;
  Loops batch;
  Loops rows;
  Loops columns;
};

/// Appends the dispatches of y = alpha a b, where y is dense [batch.., rows of a.., columns of b..]. Both have the same
/// batch sizes (a stride of 0 repeats a matrix), and as many columns in a as rows in b. Operands that are not made of
/// whole vec4s are copied to where they are. `type` is that of all elements: f32, or i32, which wraps around and has an
/// alpha of 1.
void emit_product(Lowering& l, const Matrices& a, const Matrices& b, const Binding& y, double alpha,
                  DType type = DType::F32);

/// For references: the product of two i32 in the low bits of what wraps around as in C.
inline std::uint64_t wrapping_product(double a, double b) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(a)) *
         static_cast<std::uint64_t>(static_cast<std::int64_t>(b));
}

/// Appends the dispatch that copies matrices to memory of this node, dense, each row filled up with zeros to whole
/// vec4s. A batch stride of 0 adds no matrix.
Binding emit_packed(Lowering& l, const Matrices& matrices, const std::string& name);

}  // namespace heed::ops
