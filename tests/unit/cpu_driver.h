#pragma once

#include "plan/device_caps.h"

namespace heed::testing {

/// A CPU's driver with subgroups of 8, as lavapipe is, and otherwise what every device has.
inline DeviceCaps cpu_driver() {
  DeviceCaps caps;
  caps.type = DeviceType::Cpu;
  caps.subgroup_size = 8;
  caps.subgroup_arithmetic = caps.subgroup_shuffle = true;
  return caps;
}

}  // namespace heed::testing
