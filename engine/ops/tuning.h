#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// A choice between equally correct ways to run work of an op (Op::tuning), for the tuner to make by measuring. Steps
/// are gone through in the order of the files of their ops, those of one op in the order in which it lists them; those
/// that are `last` when all others are made.
struct TuningStep {
  std::string name;
  /// The work that is timed, as large as is sensible on the device; its weights are filled with zeros, and its inputs
  /// are of fixed sizes.
  Graph (*problem)(const DeviceCaps& caps);
  /// Ways that may be faster than what has been found so far, the plainest first. Empty where there is nothing to
  /// choose; those that the device's limits forbid are left out by the tuner.
  std::vector<Tuning> (*candidates)(const DeviceCaps& caps, const Tuning& best);
  Bindings dims = {};  // of the work, where it names dimensions
  bool last = false;   // what its candidates are compared with depends on choices of other ops
  /// Switches off what would hide the choice while it is timed, where other kernels take its work; nullptr: nothing.
  void (*time_without)(Tuning& tuning) = nullptr;
};

/// Work of the sizes of a large model that says how fast a device is (Tuning::flops_pace, ::bytes_pace).
struct PaceProbe {
  Graph (*problem)(const DeviceCaps& caps);
  std::uint32_t Tuning::*pace;
};
std::vector<PaceProbe> pace_probes();

/// The steps of all ops in the order in which they are gone through.
std::vector<const TuningStep*> all_tuning_steps();

/// Of Tuning or ProductTuning.
template <typename Choices, typename Value>
Choices with(Choices choices, Value Choices::*member, Value value) {
  choices.*member = value;
  return choices;
}

/// What differs from the best so far in one number, for each of the values that it does not have yet.
template <typename Choices, typename Value>
std::vector<Choices> each_other(const Choices& best, Value Choices::*member, const std::vector<Value>& values) {
  std::vector<Choices> candidates;
  for (const Value value : values) {
    if (value != best.*member) candidates.push_back(with(best, member, value));
  }
  return candidates;
}

/// Whether work of the sizes of a large model is timed: GPUs, whose caches hold all of what CPU drivers are given, have
/// at least as much memory.
inline bool times_large_work(const DeviceCaps& caps) {
  constexpr std::uint64_t kMemory = std::uint64_t{2} << 30;
  return caps.type != DeviceType::Cpu && caps.memory >= kMemory &&
         caps.max_memory_allocation >= std::uint64_t{256} << 20;
}

}  // namespace heed::ops
