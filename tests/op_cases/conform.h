#pragma once

#include <functional>
#include <set>
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
  std::set<std::string> modules;      // keys of shader_table.h that ran
};

/// How many plans of a case are run. Nearly all the time goes into the driver's compiler, which begins anew for every
/// set of specialization constants.
enum class Extent {
  Whole,    // every plan that differs
  Brief,    // every case in the plainest variant as the device reads memory; in each other variant one case for each
            // sequence of shaders
  Modules,  // one case for each sequence of shaders, whatever the variant; and each module once, as in the others
};

struct ConformProgress {
  std::string_view op;
  std::string_view case_name;
  int done = 0;  // cases
  int total = 0;
};

using CaseFilter = std::function<bool(std::string_view op, std::string_view case_name)>;

/// Runs the op cases that `wanted` takes on a device in all variants (run_case.h) as far as `extent` says, each
/// `repeats` times, and returns a row for each op and variant that had anything to run. All extents run the same shader
/// modules. `progress` may be empty. An Error that planning or running a case throws counts as its failure; a lost
/// device passes through.
std::vector<ConformRow> conform(Gpu& gpu, const CaseFilter& wanted, Extent extent, int repeats,
                                const std::function<void(const ConformProgress&)>& progress);

/// The keys of the shader modules that the plans of all cases in all variants use.
std::set<std::string> planned_modules(const Gpu& gpu);

}  // namespace heed::op_cases
