#include "graph/host_tensor.h"

#include <algorithm>
#include <cmath>

namespace heed {

std::int64_t to_integer(double element) {
  if (std::isnan(element)) return 0;
  return static_cast<std::int64_t>(std::clamp(element, -kMostInteger, kMostInteger));
}

bool is_end_of_integers(double element) {
  // Files have them as to_integer() gave them.
  return std::abs(element) >= 0x1p63 || std::abs(element) == kMostInteger;
}

}  // namespace heed
