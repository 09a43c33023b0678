// Every op case in every variant of its kernels on one device, chosen by HEED_DEVICE_INDEX (default: the best one).
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "heed/device.h"
#include "heed/error.h"
#include "runtime/gpu.h"
#include "tests/op_cases/conform.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool has_vulkan() {
  try {
    for (const DeviceInfo& device : list_devices()) {
      if (device.unusable.empty()) return true;
    }
  } catch (const Error&) {
    // No loader or no driver: the same as no device.
  }
  return false;
}

}  // namespace

TEST_CASE("case names are unique within an op") {
  for (const CaseFamily& family : all_families()) {
    std::set<std::string> names;
    for (const OpCase& op_case : family.cases()) {
      CHECK_MESSAGE(names.insert(op_case.name).second, family.name, " ", op_case.name);
    }
    CHECK_MESSAGE(!names.empty(), family.name);
  }
}

TEST_CASE("every op agrees with the reference in double") {
  const std::string index = environment("HEED_DEVICE_INDEX");
  if (!has_vulkan() && index.empty()) {
    MESSAGE("SKIPPED: no usable Vulkan device");
    return;
  }
  const Device device(index);
  MESSAGE("device: ", device.info().name, ", ", device.info().driver);
  int cases = 0;
  for (const ConformRow& row : conform(device.gpu(), environment("HEED_CASES"), 2, nullptr)) {
    cases += row.cases;
    MESSAGE(row.op, " [", row.variant, "]: ", row.cases, " cases, worst error ", row.worst_error);
    for (const std::string& message : row.messages) FAIL_CHECK(row.op, " [", row.variant, "] ", message);
  }
  CHECK(cases > 0);
}

}  // namespace heed::op_cases
