#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tests/op_cases/case_data.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// How an op rounds on a device, from which the bounds of its results follow.
struct Rounding {
  bool exact = true;  // moves, chooses and compares numbers: every bit must agree
  /// Results are off by so much relative to themselves, in units of 2^-24 (half a step of float).
  double result = 0.0;
  /// And as if the first `operands` inputs were off by so much relative to themselves, in the same unit.
  double operand = 0.0;
  std::size_t operands = 0;
  /// The least error of a result, in the same unit, of functions that cancel inside: times the largest magnitude of
  /// operand `scale`, where it is one.
  double absolute = 0.0;
  std::size_t scale = kNoOperand;
  bool logarithm = false;  // also by 4 |ln y| relative, which is what exp of a rounded difference loses
  static constexpr std::size_t kNoOperand = 99;
};

/// By the op's name, attributes and sizes. A sum of n terms in float, in whatever order, is off by about sqrt(n) steps
/// of the root of the sum of its terms' squares, as rounding errors are independent (Higham and Mary 2019); functions
/// by what Vulkan allows a driver for exp, log, division and roots.
Rounding rounding_of(const Node& node, const std::vector<Shape>& inputs, const std::vector<Shape>& outputs);

/// Largest allowed |device - reference| of each element, by name of output or state. Infinity where the result is at
/// the edge of float's range and may be either side.
using Bounds = std::map<std::string, std::vector<double>>;

/// The bounds of a case: the reference is run again several times, every operand and every result nudged at random by
/// what float arithmetic does to it (rounding_of); how far an element then strays says what a device may do to it.
/// This is stochastic arithmetic (Parker 1997) on whole tensors. Deterministic: nudges are keyed like the data.
/// Integers have no bound: they must agree. Throws Error where evaluate() does.
Bounds bounds_of(const OpCase& op_case, const CaseData& data);

}  // namespace heed::op_cases
