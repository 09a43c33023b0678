#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runtime/gpu.h"
#include "tests/op_cases/bounds.h"
#include "tests/op_cases/case_data.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// One way of planning for a device: kernels that must all compute the same.
struct Variant {
  std::string name;  // "storage", "texel", ...
  DeviceCaps caps;   // those of the device, some abilities taken away
  Tuning tuning;
  bool cut_weights = false;   // bindings no larger than the case's activations need, at least 64 KiB
  bool cut_bindings = false;  // bindings as small as the case's node can be planned with, from 256 bytes on
};

/// The variants for a device, the plainest first: storage buffers, texel buffers, either without subgroup arithmetic,
/// 1, 2 and 8 weight rows a workgroup, wider and narrower workgroups, few workgroups, few of them in x, small bindings
/// (weights, and in others everything, cut in pieces).
std::vector<Variant> variants_of(const DeviceCaps& caps);

/// How a case went on a device.
struct CaseResult {
  bool passed = false;
  bool nothing = false;  // the case has no element to compute: it proves only that the plan can be made and recorded
  double worst_error = 0.0;  // |device - reference| of the worst element, in units of its bound
  int runs = 0;
  std::string message;  // one line on the worst thing that is wrong; empty when it passed
};

/// Throws Error where make_plan does.
Plan plan_case(const OpCase& op_case, const Variant& variant);

/// How often a case is run, for the races of kernels that show only now and then.
struct Repeats {
  int least = 1;
  int wanted = 1;        // where all of them take no longer than ...
  double seconds = 0.0;  // ... this
};

/// Runs a plan of the case, outputs, arena, guards and the padding of inputs filled before each run with what no right
/// answer is, states as they were, and compares outputs and states with the reference, element by element. Fails when
///  - an element is further off than its bound (bounds.h), or finite or NaN and should not be, or an integer differs;
///  - a word of the 256 bytes before and after an output, state or input has changed;
///  - a run gives other bits than the first;
///  - memory holds what the reference expects before anything has run, so that the case can find nothing.
/// Errors of planning and of the device pass through as Error.
CaseResult run_case(Gpu& gpu, const CaseData& data, const Bounds& bounds, Plan plan, const Repeats& repeats);

/// Makes data, bounds and plan first; for a single run of a single case.
CaseResult run_case(Gpu& gpu, const OpCase& op_case, const Variant& variant, int repeats);

}  // namespace heed::op_cases
