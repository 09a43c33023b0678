#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace heed {

/// The numbers that quants of iq4_nl stand for.
inline constexpr std::array<std::int8_t, 16> kIq4NlCodebook = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                               1,    13,   25,  38,  53,  69,  89,  113};

// Each makes one block of a quantised type (graph/quantised.h) of as many floats as it holds, the same of the same
// floats on every machine. Throws Error when one is not finite, or so large that its block's scale is no f16, since the
// others of the block would be lost.

/// As ggml's reference: scale = max|x| / 127, quants are x / scale rounded to nearest.
void quantise_q8_0(const float* from, std::byte* block);
/// As ggml's reference: scale = signed extreme / -8, quants are trunc(x / scale + 8.5), 15 at most.
void quantise_q4_0(const float* from, std::byte* block);

// The others are heed's own: where a scale becomes an f16 or a code, quants are chosen for what it became.

/// What is added = least x, scale = (largest - least) / 15 or 31.
void quantise_q4_1(const float* from, std::byte* block);
void quantise_q5_1(const float* from, std::byte* block);
/// Scale = signed extreme / -16.
void quantise_q5_0(const float* from, std::byte* block);
/// Scale = signed extreme / -127, quants are the nearest of the codebook, the first of equals.
void quantise_iq4_nl(const float* from, std::byte* block);

/// For every group, x is fitted by scale * quant - minimum, minimum >= 0: 21 ranges of quants about [min(0, x), max x]
/// are tried; quants are rounded in each, scale and minimum follow from them by least squares, and those with the least
/// squared error are kept. The block's factors are the largest scale and minimum over the largest code (63, of q2_k
/// 15), codes are rounded to nearest.
void quantise_q2_k(const float* from, std::byte* block);
void quantise_q4_k(const float* from, std::byte* block);
void quantise_q5_k(const float* from, std::byte* block);
/// The same by scale * quant, of either sign: 21 scales about (signed extreme / least quant) are tried. The block's
/// factor is the extreme of the scales over the least code (-128, of q3_k -32). A block of K-quants whose factor is
/// below what f16 holds (of q6_k about where no element reaches 1e-4) becomes 0, as that of every f16 scale.
void quantise_q3_k(const float* from, std::byte* block);
void quantise_q6_k(const float* from, std::byte* block);

}  // namespace heed
