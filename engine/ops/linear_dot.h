#pragma once

#include "ops/linear_kernels.h"

/// Products of one to eight rows with quantised weights in integers (shaders/linear_dot.comp), where the device has dot
/// products of bytes and the tuner found them faster. x is rounded to 16 bits of the largest of each 32 of its columns
/// (16 where weights have a scale for each 16): sums are off by about 2^-15 of the largest of them.
namespace heed::ops {

inline constexpr std::uint32_t kDotRows = 8;

/// Whether work of a linear node runs so. Of several rows those run so whose number is below kMatrixRows, and those of
/// which LinearWork::most_rows says that no larger number has to agree with them: what a row gives is the same bytes
/// for every number of rows that does.
bool runs_in_dots(const Lowering& l, const LinearWork& work);

/// Appends the dispatches of work that does: one for a row that fits shared memory, else one that makes bytes of x
/// before it. `flops` and `bytes` are the work's.
void emit_linear_dot(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                     const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes);

}  // namespace heed::ops
