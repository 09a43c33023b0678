#pragma once

#include <stdexcept>
#include <string>

namespace heed {

/// The one exception type that heed throws for anything a user or a device can cause: bad files, bad arguments, missing
/// features, Vulkan errors. The message is one line: what failed, on what (file, tensor, node, limit), expected against
/// actual, what to do. Programming errors inside heed are asserted instead.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// The device was reset or taken away; what was on it is gone. Files and caches are whole, and a device opened afresh
/// may work.
class DeviceLost : public Error {
 public:
  using Error::Error;
};

}  // namespace heed
