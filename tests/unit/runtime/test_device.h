#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/device.h"
#include "heed/error.h"

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
/// an error like any other. Keeps no caches.
inline std::optional<Device> test_device() {
  ::setenv("HEED_CACHE_DIR", "", 1);
  const std::string why_not = no_device_here();
  if (why_not.empty()) return Device();
  MESSAGE("SKIPPED: " << why_not);
  return std::nullopt;
}

}  // namespace heed
