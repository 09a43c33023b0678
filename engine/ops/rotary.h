#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace heed {
class Lowering;
struct Binding;
}  // namespace heed

namespace heed::ops {

/// Rotary position embedding (Su et al. 2021): pair i of a head turns by angle position * base^(-2i / dims) /
/// freq_factors[i], and what turns is multiplied by scale. Attributes (with `prefix` before each name): layout
/// "interleaved" (pairs 2i, 2i + 1) or "half" (pairs i, i + dims / 2), base, dims (how many leading elements of a head
/// are turned, default all), freq_factors (list of dims / 2 numbers, default ones), scale (default 1).
struct Rotary {
  bool half = false;
  double base = 10000.0;
  std::int64_t dims = 0;
  std::vector<double> freq_factors;  // empty for ones
  double scale = 1;                  // of cosines and sines: what does not turn keeps its length

  /// Throws Error when attributes are missing or do not fit heads of `head_dim` elements.
  static Rotary from(const Attributes& attributes, const std::string& prefix, std::int64_t head_dim);
  double angle(double position, std::int64_t pair) const;
  std::int64_t first(std::int64_t pair) const { return half ? pair : 2 * pair; }
  std::int64_t second(std::int64_t pair) const { return half ? pair + dims / 2 : 2 * pair + 1; }
  /// Turns one head in place, in double.
  void turn(double* head, double position) const;

  /// Cosines and sines for positions below `positions`, computed in double on the host, because Vulkan promises only
  /// 2^-11 for sin and cos, and only within one turn. Row p < 256 holds pairs (cos, sin) of position p, row 256 + c
  /// those of position 256 c; the shader multiplies the two (shaders/include/rotary.glsl).
  Binding table(Lowering& lowering, std::int64_t positions) const;
};

inline constexpr std::int64_t kRotaryFineRows = 256;

}  // namespace heed::ops
