#pragma once

#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace heed::op_cases {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// One test of one op on a device: a small graph whose outputs and states are compared, element by element, with the
/// double-precision reference, each within a bound that follows from the op (bounds.h). The same cases serve the test
/// suite and `heed conform`.
struct OpCase {
  std::string name;  // "q8_0 3x64 -> 96, bias": sizes and what is special
  Graph graph;
  Bindings dims;
  /// Values of inputs, weights and states that must not be random, by name (ids, positions, masks, edge values).
  std::map<std::string, std::vector<double>> values;
};

/// The cases of tests/op_cases/STEM.cpp, which defines cases_STEM(); cmake/ops.cmake collects them.
struct CaseFamily {
  std::string_view name;
  std::vector<OpCase> (*cases)();
};
std::span<const CaseFamily> all_families();

}  // namespace heed::op_cases
