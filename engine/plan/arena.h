#pragma once

#include "plan/plan.h"

namespace heed {

/// Gives every Storage::Arena tensor a block and an offset: tensors that are never alive at the same dispatch share
/// memory. A tensor lives from the first dispatch that binds it to the last. Offsets are multiples of 256, blocks no
/// larger than the device allocates. Greedy by size: the largest tensor first, each in the lowest gap that fits.
/// `keep`: all live to the end, so that they can be read after a run.
void place_in_arena(Plan& plan, const DeviceCaps& caps, bool keep = false);

}  // namespace heed
