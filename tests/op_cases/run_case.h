#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runtime/gpu.h"
#include "tests/op_cases/case_data.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// One way of planning for a device: kernels that must all compute the same.
struct Variant {
  std::string name;  // "storage", "texel", ...
  DeviceCaps caps;   // those of the device, some abilities taken away
  Tuning tuning;
  bool cut_weights = false;  // bindings no larger than the case's activations need, at least 64 KiB
};

/// The variants for a device, the plainest first: storage buffers, texel buffers, either without subgroup arithmetic,
/// 1, 2 and 8 weight rows a workgroup, wider and narrower workgroups, few workgroups, small bindings (weights cut in
/// pieces).
std::vector<Variant> variants_of(const DeviceCaps& caps);

/// How a case went on a device.
struct CaseResult {
  bool passed = false;
  double worst_error = 0.0;  // |device - reference| over the largest magnitude of the tensor, at least 1e-3
  std::string message;       // one line on the first thing that is wrong; empty when it passed
};

/// Throws Error where make_plan does.
Plan plan_case(const OpCase& op_case, const Variant& variant);

/// Runs a plan of the case `repeats` times, outputs, arena and the padding of inputs filled with NaN before each,
/// states as they were, and compares outputs and states with the reference. Fails when an element differs by more than
/// the case's tolerance, when one is finite or NaN and the other is not, when an integer differs at all, or when two
/// runs differ in a bit. Errors of planning and of the device pass through as Error.
CaseResult run_case(Gpu& gpu, const OpCase& op_case, const CaseData& data, Plan plan, int repeats);

/// Makes data and plan first; for a single run of a single case.
CaseResult run_case(Gpu& gpu, const OpCase& op_case, const Variant& variant, int repeats);

}  // namespace heed::op_cases
