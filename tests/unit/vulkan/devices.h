#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "heed/error.h"
#include "vulkan/device.h"
#include "vulkan/instance.h"

namespace heed::vk {

/// An instance for tests: with validation where its layer is installed. Empty, with a visible word on why, where there
/// is no Vulkan.
inline std::optional<Instance> test_instance() {
  try {
    Instance plain;
  } catch (const Error& error) {
    MESSAGE("SKIPPED: " << std::string(error.what()));
    return std::nullopt;
  }
  try {
    return Instance({.validation = true});
  } catch (const Error& error) {
    MESSAGE("without validation: " << std::string(error.what()));
    return Instance();
  }
}

/// Calls test(device) for every usable device, under validation. Any message of the layer fails the test, also those
/// about objects that were still there when the device went.
template <typename Test>
void on_every_device(Test test) {
  const std::optional<Instance> instance = test_instance();
  if (!instance) return;
  int devices = 0;
  for (const PhysicalDevice& physical : physical_devices(*instance)) {
    if (!physical.unusable.empty()) continue;
    ++devices;
    INFO(physical.name, " ", physical.driver_info);
    const Device device(physical);
    test(device);
  }
  if (devices == 0) MESSAGE("SKIPPED: no usable Vulkan device");
  for (const std::string& message : instance->validation_messages()) FAIL_CHECK(message);
}

/// Long enough for the slowest CPU driver under sanitizers.
inline constexpr std::uint64_t kPatienceNs = 60'000'000'000;

}  // namespace heed::vk
