#pragma once

#include <cstdint>
#include <vector>

#include "plan/device_caps.h"
#include "plan/plan.h"

namespace heed {

/// Work that one submission may hold, so that the device is done with it in about a tenth of a second; drivers reset
/// the device after two. As it stands for a slow integrated GPU (100 GFLOP/s, 20 GB/s).
struct SubmissionLimits {
  /// Of a device that was measured.
  static SubmissionLimits of(const Tuning& tuning);

  std::uint64_t flops = 10'000'000'000;
  std::uint64_t bytes = 2'000'000'000;
  /// Keys that caches hold after the runs, at most; a plan alone must assume that they are full.
  std::uint64_t keys = UINT64_MAX;
  /// How many times as much all but products count, which are what the device was measured by: other kernels, some of
  /// which nobody made fast for GPUs, may be that much slower.
  std::uint64_t others_flops = 1;
  std::uint64_t others_bytes = 1;
};

/// The time for which a dispatch is planned, in seconds: what a device would take that reaches its limits in a tenth of
/// a second.
double planned_seconds(const Dispatch& dispatch, const SubmissionLimits& limits = {});

/// One dispatch in the order of recording.
struct Recorded {
  std::size_t dispatch = 0;     // index into Plan::dispatches
  bool new_submission = false;  // begins one, which waits for those before
  bool barrier = false;         // waits for the dispatches before it in its submission
};

/// The dispatches of `repeats` runs of a plan, one after the other. A dispatch that alone is over the limits gets a
/// submission of its own.
std::vector<Recorded> split_into_submissions(const Plan& plan, int repeats, const SubmissionLimits& limits = {});

}  // namespace heed
