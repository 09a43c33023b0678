// heed.h: devices.
#include <deque>

#include "bindings/c/common.h"

using namespace heed;
using namespace heed::c;

namespace {

/// A DeviceInfo and what C sees of it.
struct InfoResult : Result {
  explicit InfoResult(DeviceInfo given) : info(std::move(given)) {
    view.size = sizeof view;
    view.name = info.name.c_str();
    view.driver = info.driver.c_str();
    view.type = info.type.c_str();
    view.uuid = info.uuid.c_str();
    view.unusable = info.unusable.c_str();
    view.memory = info.memory;
    view.memory_left = info.memory_left;
    view.index = info.index;
  }
  heed_device_info view{};
  DeviceInfo info;
};

struct DeviceListResult : Result {
  explicit DeviceListResult(std::vector<DeviceInfo> list) {
    for (DeviceInfo& info : list) views.push_back(&infos.emplace_back(std::move(info)).view);
    view.count = views.size();
    view.devices = views.data();
  }
  heed_device_list view{};
  std::deque<InfoResult> infos;
  std::vector<const heed_device_info*> views;
};

/// The functions of the Vulkan loader are looked up when the first instance is made.
std::mutex& opening() {
  static std::mutex* const mutex = new std::mutex;
  return *mutex;
}

}  // namespace

extern "C" {

heed_status heed_list_devices(const heed_device_list** list) {
  return guarded([&] {
    clear_out(list, "the place for the list");
    const std::lock_guard lock(opening());
    give(list, std::make_unique<DeviceListResult>(list_devices()));
  });
}

heed_status heed_device_open(const char* which, heed_device** device) {
  return guarded([&] {
    clear_out(device, "the place for the device");
    const std::lock_guard lock(opening());
    give_handle(device, std::make_shared<DeviceObject>(text_or_nothing(which)));
  });
}

heed_status heed_device_describe(heed_device* device, const heed_device_info** info) {
  return guarded([&] {
    clear_out(info, "the place for the description");
    give(info, std::make_unique<InfoResult>(find<DeviceObject>(device)->device.info()));
  });
}
}
