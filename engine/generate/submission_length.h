#pragma once

#include <cstdint>

namespace heed {

// A submission should be long enough to hide its own cost and short enough that text streams and Ctrl-C is heard.
inline constexpr double kSubmissionSeconds = 0.1;

/// How many steps the next submission holds: a power of two, so that few are recorded, from the time of the last ones.
inline int steps_for(double seconds_a_step, std::int64_t wanted) {
  constexpr int kMostSteps = 16;
  int steps = 1;
  while (steps * 2 <= kMostSteps && steps * 2 <= wanted && steps * 2 * seconds_a_step <= kSubmissionSeconds) steps *= 2;
  return steps;
}

}  // namespace heed
