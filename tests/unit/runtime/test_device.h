#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <optional>
#include <string>

#include "heed/device.h"
#include "heed/error.h"

namespace heed {

/// The best device; empty, with a visible word on why, where there is none. Keeps no caches.
inline std::optional<Device> test_device() {
  ::setenv("HEED_CACHE_DIR", "", 1);
  try {
    return Device();
  } catch (const Error& error) {
    MESSAGE("SKIPPED: " << std::string(error.what()));
    return std::nullopt;
  }
}

}  // namespace heed
