#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/device.h"
#include "heed/error.h"
#include "tests/temporary_folder.h"

namespace heed {

/// Why nothing can be opened here: no Vulkan loader, no driver, or only devices that heed cannot use. Empty: something
/// can. Other errors pass through; a layer that was asked for must be there.
inline std::string no_device_here() {
  std::vector<DeviceInfo> devices;
  try {
    devices = list_devices();
  } catch (const Error& error) {
    const std::string_view what = error.what();
    if (what.starts_with("Vulkan: no Vulkan ")) return std::string(what);  // loader, driver
    throw;
  }
  for (const DeviceInfo& device : devices) {
    if (device.unusable.empty()) return "";
  }
  return devices.empty() ? "no Vulkan device" : "no usable Vulkan device: " + devices.front().unusable;
}

/// The best device; empty, with a visible word on why, where there is none. A device that is there and does not open is
/// an error like any other. Its caches are of this process alone, so that it is tuned and tested by itself once, and
/// not by each of a hundred tests; a test that is about caches says which.
inline std::optional<Device> test_device() {
  static const testing::TemporaryFolder cache;
  ::setenv("HEED_CACHE_DIR", cache.path().c_str(), 1);
  const std::string why_not = no_device_here();
  if (why_not.empty()) return Device();
  MESSAGE("SKIPPED: " << why_not);
  return std::nullopt;
}

}  // namespace heed
