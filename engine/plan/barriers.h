#pragma once

#include "plan/plan.h"

namespace heed {

/// Sets Dispatch::barrier_before where a dispatch reads what an earlier one wrote since the last barrier, or writes
/// what an earlier one read or wrote; memory is compared, so arena tensors that share bytes count too. Call after
/// place_in_arena().
void place_barriers(Plan& plan);

}  // namespace heed
