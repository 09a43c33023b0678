#include "heed/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "heed/error.h"
#include "runtime/gpu.h"
#include "vulkan/physical_device.h"

namespace heed {
namespace {

struct Found {
  std::shared_ptr<const vk::Instance> instance;
  std::vector<vk::PhysicalDevice> physical;  // as DeviceInfo::index counts
};

int rank(const vk::PhysicalDevice& device) {
  if (!device.unusable.empty()) return 5;
  switch (device.type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return 2;
    case VK_PHYSICAL_DEVICE_TYPE_OTHER:
      return 3;
    default:
      return 4;
  }
}

Found find_devices() {
  Found found;
  const char* validation = std::getenv("HEED_VALIDATION");
  vk::InstanceOptions options;
  options.validation = validation != nullptr && std::string_view(validation) == "1";
  found.instance = std::make_shared<vk::Instance>(options);
  for (vk::PhysicalDevice& device : vk::physical_devices(*found.instance)) {
    // The same GPU through a second driver has the same UUID; software devices have made-up ones and differ by driver.
    const bool twin =
        device.type != VK_PHYSICAL_DEVICE_TYPE_CPU &&
        std::any_of(found.physical.begin(), found.physical.end(), [&](const vk::PhysicalDevice& other) {
          return other.device_uuid == device.device_uuid && device.unusable.empty() == other.unusable.empty();
        });
    if (!twin) found.physical.push_back(std::move(device));
  }
  std::stable_sort(found.physical.begin(), found.physical.end(),
                   [](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return found;
}

DeviceInfo describe(const vk::PhysicalDevice& physical, std::size_t index) {
  DeviceInfo info;
  info.index = index;
  info.name = physical.name;
  info.driver = physical.driver_name;
  if (!physical.driver_info.empty()) info.driver += (info.driver.empty() ? "" : " ") + physical.driver_info;
  if (info.driver.empty()) info.driver = physical.driver_version;
  info.type = std::string(vk::type_name(physical.type));
  info.uuid = vk::uuid_text(physical.device_uuid);
  info.api_version = vk::version_text(physical.api_version);
  info.memory = physical.device_memory();
  if (physical.unusable.empty()) info.memory_left = vk::memory_left(physical).bytes;
  info.subgroup_size = physical.subgroup_size;
  info.unusable = physical.unusable;
  info.driver_name = physical.driver_name;
  info.driver_info = physical.driver_info;
  info.driver_version = physical.driver_version;
  info.vendor_id = physical.vendor_id;
  info.device_id = physical.device_id;
  if (info.unusable.empty()) {
    std::string damaged;  // is told when the device is opened
    const std::string file = cache_name("quarantine", physical) + ".json";
    info.off = read_quarantine(file, damaged);
    if (!info.off.empty()) info.off_file = quarantine_path(file).string();
  }
  if (info.unusable.empty()) info.limits = caps_to_json(reported_caps(physical));
  return info;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// "there is only 0: NAME".
std::string listing(const Found& found) {
  std::string text;
  for (std::size_t i = 0; i < found.physical.size(); ++i) {
    text += fmt::format("{}{}: {}", i == 0 ? "" : ", ", i, found.physical[i].name);
  }
  return (found.physical.size() == 1 ? "there is only " : "there are ") + text;
}

std::size_t choose(const Found& found, std::string_view which) {
  if (found.physical.empty()) {
    throw Error("no Vulkan device found; install a GPU driver with Vulkan, or mesa-vulkan-drivers for a CPU driver");
  }
  if (which.empty()) return 0;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), index);
  if (error == std::errc() && end == which.data() + which.size()) {
    if (index < found.physical.size()) return index;
    throw Error(fmt::format("no device {}; {}", which, listing(found)));
  }
  std::optional<std::size_t> match;
  for (std::size_t i = 0; i < found.physical.size(); ++i) {
    if (vk::uuid_text(found.physical[i].device_uuid) == which) return i;
    if (lower_case(found.physical[i].name).find(lower_case(which)) == std::string::npos) continue;
    if (match) throw Error(fmt::format("device '{}' is ambiguous; {}", which, listing(found)));
    match = i;
  }
  if (!match) throw Error(fmt::format("no device '{}'; {}", which, listing(found)));
  return *match;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  const Found found = find_devices();
  std::vector<DeviceInfo> infos;
  for (std::size_t i = 0; i < found.physical.size(); ++i) infos.push_back(describe(found.physical[i], i));
  return infos;
}

struct Device::Choice {
  std::shared_ptr<const vk::Instance> instance;
  vk::PhysicalDevice physical;
  DeviceInfo info;
};

Device::Device(const Choice& choice, const DeviceOptions& options) : info_(choice.info), options_(options) {
  if (!choice.physical.unusable.empty())
    throw Error(fmt::format("device '{}' cannot be used: {}", info_.name, choice.physical.unusable));
  gpu_ = std::make_shared<Gpu>(choice.instance, choice.physical, options);
  Tuning tuning = gpu_->tuning();
  tuning.half_products = options.half_products;
  gpu_->set_tuning(tuning);
  notes_ = gpu_->notes();
}

Device::Device(std::string_view which, const DeviceOptions& options)
    : Device(
          [&] {
            const Found found = find_devices();
            const std::size_t index = choose(found, which);
            return Choice{found.instance, found.physical[index], describe(found.physical[index], index)};
          }(),
          options) {}

Device Device::reopened() const {
  const Found found = find_devices();
  for (std::size_t i = 0; i < found.physical.size(); ++i) {
    DeviceInfo info = describe(found.physical[i], i);
    // Made-up UUIDs of software devices need not be unique.
    if (info.uuid != info_.uuid || info.name != info_.name || info.driver != info_.driver) continue;
    return {Choice{found.instance, found.physical[i], std::move(info)}, options_};
  }
  throw Error(fmt::format("device '{}' is not there any more", info_.name));
}

}  // namespace heed
