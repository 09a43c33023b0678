#include "plan/device_caps.h"

namespace heed {

std::uint32_t Tuning::rows_a_lane(std::int64_t outputs, bool gate, std::int64_t together) const {
  std::uint32_t result = rows;
  while (result > 1 && outputs < std::int64_t{result} * lanes * kFewestGroups) result /= 2;
  if (gate && result > 1) result /= 2;
  while (result > 1 && together > 0 && together % (std::int64_t{lanes} * result) != 0) --result;
  return result;
}

}  // namespace heed
