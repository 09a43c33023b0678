#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/gpu.h"

namespace heed::op_cases {

/// What a device does against what its driver reports, found by trying.
struct Probe {
  std::string name;
  std::string reported;  // empty where a driver reports nothing of the kind
  std::string found;
  bool fine = true;  // false: what heed relies on is not so
};

/// Why the device runs nothing that is submitted, in the driver proof's words; empty when it does. Cheap; the Gpu may
/// be one that compiles only.
std::string why_nothing_runs(Gpu& gpu);

/// The subgroup size that shaders see, and whether every invocation runs; the largest allocation, up to `most_bytes`,
/// whose ends keep what is written; the largest storage binding, likewise, whose ends a shader reads. An Error of the
/// device is a finding; a lost device passes through.
std::vector<Probe> probe(Gpu& gpu, std::uint64_t most_bytes);

/// The longest submission that survives, made longer until it takes `most_seconds`. It may cost the device, and on some
/// systems the picture on the screen for a while: only where asked for.
Probe probe_watchdog(Gpu& gpu, double most_seconds);

}  // namespace heed::op_cases
