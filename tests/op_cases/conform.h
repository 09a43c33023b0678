#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/gpu.h"

namespace heed::op_cases {

/// How one op (a file of cases) did in one variant of its kernels.
struct ConformRow {
  std::string op;
  std::string variant;
  int cases = 0;  // that this variant plans differently from the variants before it; only those are run
  int failures = 0;
  double worst_error = 0.0;           // relative; infinity where something that is not a number differed
  std::vector<std::string> messages;  // "CASE: what is wrong", one a failure
};

struct ConformProgress {
  std::string_view op;
  std::string_view case_name;
  int done = 0;  // cases
  int total = 0;
};

/// Runs the op cases whose "OP CASE" contains `filter` on a device in all variants (run_case.h), each `repeats` times,
/// and returns a row for each op and variant that had anything to run. `progress` may be empty. An Error that planning
/// or running a case throws counts as its failure; a lost device passes through.
std::vector<ConformRow> conform(Gpu& gpu, std::string_view filter, int repeats,
                                const std::function<void(const ConformProgress&)>& progress);

}  // namespace heed::op_cases
