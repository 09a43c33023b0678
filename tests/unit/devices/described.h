#pragma once

#include <string>
#include <vector>

#include "plan/device_caps.h"

namespace heed::testing {

/// A device that is not here: a file of tests/devices says what it reports.
struct Described {
  std::string file;
  DeviceCaps reported;
};

/// All of them, by the names of their files.
std::vector<Described> all_devices();

}  // namespace heed::testing
