#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"
#include "tests/op_cases/case_data.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// Largest allowed |device - reference| of each element, by name of output or state. Infinity where the result is at
/// the edge of float's range and may be either side.
using Bounds = std::map<std::string, std::vector<double>>;

/// The bounds of a case: the reference is run again several times, every operand and every result nudged at random by
/// what float arithmetic does to it (rounding_of); how far an element then strays says what a device may do to it.
/// This is stochastic arithmetic (Parker 1997) on whole tensors. Deterministic: nudges are keyed like the data.
/// Integers have no bound: they must agree. 0 where nodes only move numbers (special_values.h): every bit must agree.
/// `bytes`: of a plan that makes bytes of rows of x (makes_bytes), which is wider: then those rows are nudged by what
/// that does to them.
/// Throws Error where evaluate() does.
Bounds bounds_of(const OpCase& op_case, const CaseData& data, bool bytes = false);

/// Whether products of a plan with quantised weights read x as bytes (shaders/include/row_bytes.glsl).
bool makes_bytes(const Plan& plan);

}  // namespace heed::op_cases
