// How kernels read what all lanes of a workgroup need at the same place: their variant SAME
// (shaders/include/memory.glsl and hand_on.glsl).
#pragma once

#include <cstddef>
#include <initializer_list>

namespace heed {
class Lowering;
struct Dispatch;

namespace ops {

/// Adds that variant to a dispatch, and sets the views of those bindings as the tuner found best. `hand_on`: workgroups
/// are one subgroup each, whose lanes fetch in turn and hand on; nothing else is chosen then.
void choose_same_reads(const Lowering& l, Dispatch& d, std::initializer_list<std::size_t> bindings, bool hand_on);

}  // namespace ops
}  // namespace heed
