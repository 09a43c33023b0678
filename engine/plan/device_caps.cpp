#include "plan/device_caps.h"

namespace heed {
namespace {

constexpr std::int64_t kFewestGroups = 8;  // worth having, so that a CPU driver's threads have about equal work

}  // namespace

std::uint32_t Tuning::rows_a_lane(std::int64_t outputs, bool gate) const {
  std::uint32_t result = rows;
  while (result > 1 && outputs < std::int64_t{result} * lanes * kFewestGroups) result /= 2;
  return gate && result > 1 ? result / 2 : result;
}

}  // namespace heed
