#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace heed {

/// Everything about a plan that a device does not allow, a line each, named by dispatch; empty when it fits. Shares no
/// code with the planner: limits are compared with what the plan says and with what the shaders' SPIR-V declares.
std::vector<std::string> misfits(const Plan& plan, const DeviceCaps& caps);

}  // namespace heed
