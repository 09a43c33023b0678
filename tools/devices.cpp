// heed devices: what there is to run on.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "heed/device.h"
#include "heed/error.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

std::string as_json(const std::vector<DeviceInfo>& devices) {
  nlohmann::json list = nlohmann::json::array();
  for (const DeviceInfo& device : devices) {
    list.push_back({{"index", device.index},
                    {"name", device.name},
                    {"driver", device.driver},
                    {"type", device.type},
                    {"uuid", device.uuid},
                    {"api_version", device.api_version},
                    {"memory_bytes", device.memory},
                    {"memory_left_bytes", device.memory_left},
                    {"subgroup_size", device.subgroup_size},
                    {"usable", device.unusable.empty()},
                    {"driver_name", device.driver_name},
                    {"driver_info", device.driver_info},
                    {"driver_version", device.driver_version},
                    {"vendor_id", fmt::format("{:04x}", device.vendor_id)},
                    {"device_id", fmt::format("{:04x}", device.device_id)}});
    list.back()["off"] = device.off;
    if (!device.limits.empty()) list.back()["limits"] = nlohmann::json::parse(device.limits);
    if (!device.unusable.empty()) list.back()["unusable"] = device.unusable;
  }
  return json_text(list, 2) + "\n";
}

std::string as_text(const std::vector<DeviceInfo>& devices) {
  std::string text;
  for (const DeviceInfo& device : devices) {
    text += fmt::format("{}: {}\n", device.index, device.name);
    text += fmt::format("   {}, {}, Vulkan {}, subgroups of {}\n", device.type, format_bytes(device.memory),
                        device.api_version, device.subgroup_size);
    text += fmt::format("   driver {}, UUID {}\n", device.driver, device.uuid);
    for (const auto& [module, reason] : device.off) text += fmt::format("   off: {} ({})\n", module, reason);
    if (!device.off.empty()) {
      text += fmt::format("   delete {} to turn kernels on again; they are judged by heed conform\n", device.off_file);
    }
    if (!device.unusable.empty()) text += fmt::format("   cannot be used: {}\n", device.unusable);
  }
  return text;
}

}  // namespace

void add_devices(Program& program) {
  CLI::App* verb = program.app.add_subcommand("devices", "List the Vulkan devices, best first");
  verb->footer("Example:\n  heed devices");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "Print JSON");
  verb->callback([&program, json] {
    program.run = [json] {
      const std::vector<DeviceInfo> devices = list_devices();
      if (devices.empty()) {
        throw Error(
            "no Vulkan device found; install a GPU driver with Vulkan, or mesa-vulkan-drivers for a CPU driver");
      }
      write_output(*json ? as_json(devices) : as_text(devices));
      return 0;
    };
  });
}

}  // namespace heed::tools
