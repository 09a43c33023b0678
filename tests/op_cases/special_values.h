#pragma once

#include <vector>

#include "graph/graph.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// What a device may make of numbers at the edges of float, and what cases accept, all in one place:
///
///  - Denormals, smaller than 2^-126. Vulkan lets a device take one for zero wherever a shader reads or makes it. A
///    result is right when it follows from the operands as they are or from those with zeros for all denormals, and a
///    result that small may be zero (bounds.h). Ops that only move numbers (moves_words) read them as integers: they
///    keep every bit.
///  - The sign of zero. Without a mode that not every device has (shaderSignedZeroInfNanPreserveFloat32) a device may
///    lose it. A zero of either sign is right, and what follows from +0 in the place of -0: both infinities for 1 / -0.
///    Ops that only move numbers keep it.
///  - Infinities and NaN. Without the same mode Vulkan does not promise that arithmetic makes them and goes on with
///    them. heed does not turn the mode on, and these cases require the result all the same, since masks of -infinity
///    and every check for a broken result depend on it: results are those of IEEE 754, and which NaN is open. What GLSL
///    leaves open of NaN (min, max, clamp, sign) or outside of a function's domain (roots and logarithms of negative
///    numbers) is decided by the bits in shaders/include/special.glsl and functions.glsl: NaN goes through, as in NumPy
///    and PyTorch, and is larger than all numbers for ops that sort.
///  - What neither Vulkan nor ONNX defines no case looks at: divisors above 2^126, conversions of reals to integers
///    outside of their range, NaN in a value whose key attention drops (0 times NaN), and NaN in a grid of grid_sample.
inline constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kLargest = 0x1.fffffep127;  // of float
inline constexpr double kLeastNormal = 0x1p-126;
inline constexpr double kLargestDenormal = 0x1.fffffcp-127;
inline constexpr double kLeastDenormal = 0x1p-149;

/// Zeros, ones, and the edges of float, each with both signs, infinities and NaN. `largest` stands for the largest.
std::vector<double> special_values(double largest = kLargest);

/// So many numbers, those of special_values() over and over.
std::vector<double> special_values_for(const Shape& shape);

/// Whether all of a graph's nodes move numbers from one place to another as words of memory, whatever they mean.
bool moves_words(const Graph& graph);

/// What a device may take a number for: zero of the same sign for denormals; +0 for these and for -0.
double with_denormals_flushed(double value);
double with_signs_of_zeros_lost(double value);

}  // namespace heed::op_cases
