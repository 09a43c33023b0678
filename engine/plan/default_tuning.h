#pragma once

#include "plan/device_caps.h"

namespace heed {

/// What a device that nobody measured gets, and where runtime/tuner.h begins: workgroups of a subgroup or more, texel
/// reads off, and, on GPUs, heads and sequences shared by workgroups and convolutions in one dispatch.
Tuning default_tuning(const DeviceCaps& caps);

}  // namespace heed
