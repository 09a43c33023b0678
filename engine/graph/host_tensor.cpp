#include "graph/host_tensor.h"

#include <algorithm>
#include <cmath>

namespace heed {

std::int64_t to_integer(double element) {
  constexpr double kMost = 9007199254740992.0;
  if (std::isnan(element)) return 0;
  return static_cast<std::int64_t>(std::clamp(element, -kMost, kMost));
}

}  // namespace heed
