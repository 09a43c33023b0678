#pragma once

#include <string>

#include "heed/device.h"

namespace heed::tools {

/// Which device a verb runs on, and how.
struct DeviceArguments {
  std::string name;
  DeviceOptions options = {};
};

}  // namespace heed::tools
