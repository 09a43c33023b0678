// How kernels read what all lanes of a workgroup need at the same place: their variant SAME
// (shaders/include/memory.glsl and hand_on.glsl).
#pragma once

#include <cstddef>
#include <initializer_list>

#include "plan/lowering.h"

namespace heed::ops {

/// Adds that variant to a dispatch, and sets the views of those bindings: handed on where its workgroups are subgroups
/// whose lanes fetch in turn, else as the tuner found best.
void choose_same_reads(const Lowering& l, Dispatch& d, std::initializer_list<std::size_t> bindings, bool hand_on);

}  // namespace heed::ops
