#pragma once

#include <cstddef>

namespace heed {

// Each makes one block of a quantised type (graph/quantised.h) of as many floats as it holds. Throws Error when one is
// not finite, or so large that its block's scale is no f16, since the others of the block would be lost.

/// As ggml's reference: scale = max|x| / 127, quants are x / scale rounded to nearest.
void quantise_q8_0(const float* from, std::byte* block);
/// As ggml's reference: scale = signed extreme / -8, quants are trunc(x / scale + 8.5), 15 at most.
void quantise_q4_0(const float* from, std::byte* block);

}  // namespace heed
