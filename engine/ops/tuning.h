#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// A choice between equally correct ways to run work of an op (Op::tuning), for the tuner to make by measuring. Steps
/// are gone through in the order of the files of their ops, those of one op in the order in which it lists them.
struct TuningStep {
  std::string_view name;
  /// The work that is timed; its weights are filled with zeros, and its inputs are of fixed sizes.
  Graph (*problem)();
  /// Ways that may be faster than what has been found so far, the plainest first. Empty where there is nothing to
  /// choose; those that the device's limits forbid are left out by the tuner.
  std::vector<Tuning> (*candidates)(const DeviceCaps& caps, const Tuning& best);
};

}  // namespace heed::ops
