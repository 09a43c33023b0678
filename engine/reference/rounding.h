#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace heed {

inline constexpr double kUnitRoundoff = 0x1p-24;  // of float
inline constexpr double kFlushed = 0x1p-126;      // a device may take smaller numbers for zero

/// How an op rounds on a device, from which the bounds of its results follow.
struct Rounding {
  bool exact = true;  // moves, chooses and compares numbers: every bit must agree
  /// Results are off by so much relative to themselves, in units of 2^-24 (half a step of float).
  double result = 0.0;
  /// And as if the first `operands` inputs were off by so much relative to themselves, in the same unit.
  double operand = 0.0;
  std::size_t operands = 0;
  /// The least error of a result, in the same unit, of functions that cancel inside: times the largest magnitude of
  /// operand `scale`, where it is one.
  double absolute = 0.0;
  std::size_t scale = kNoOperand;
  bool logarithm = false;  // also by 4 |ln y| relative, which is what exp of a rounded difference loses
  static constexpr std::size_t kNoOperand = 99;
};

/// By the op's name, attributes and sizes. A sum of n terms in float, in whatever order, is off by about sqrt(n) steps
/// of the root of the sum of its terms' squares, as rounding errors are independent (Higham and Mary 2019); functions
/// by what Vulkan allows a driver for exp, log, division and roots.
Rounding rounding_of(const Node& node, const std::vector<Shape>& inputs, const std::vector<Shape>& outputs);

/// Numbers in [-1, 1), the same for the same key: SplitMix64's finaliser (Steele, Lea, Flood 2014).
class Nudges {
 public:
  explicit Nudges(std::uint64_t key) : state_(key) {}
  double next();

 private:
  std::uint64_t state_;
};

/// Moves every finite number by a random share of its rounding: stochastic arithmetic (Parker 1997) on a whole tensor.
/// `scale`: the largest magnitude of operand Rounding::scale, where it is one.
void nudge(std::vector<double>& data, const Rounding& rounding, Nudges& nudges, double scale = 1.0);

/// The same of rows of x that a device makes bytes of (shaders/include/row_bytes.glsl): of each `block` elements every
/// one is off by up to half of a step, of which the largest is 32639. `factors`: what columns are multiplied by before,
/// one for each; none: 1. `wider`: so many times as far off.
void nudge_bytes(std::vector<double>& data, std::size_t block, const std::vector<double>& factors, Nudges& nudges,
                 double wider = 1.0);

}  // namespace heed
