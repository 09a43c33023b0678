// What the files of tests/devices say, and that caps are read as they are written.
#include "tests/unit/devices/described.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "heed/error.h"

namespace heed {

std::vector<testing::Described> testing::all_devices() {
  std::vector<Described> devices;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(HEED_SOURCE_DIR) / "tests/devices")) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream stream(entry.path());
    const nlohmann::json json = nlohmann::json::parse(stream);
    CAPTURE(entry.path().filename().string());
    CHECK(json.at("source").get<std::string>().size() > 20);
    CHECK(!json.at("driver").get<std::string>().empty());
    CHECK(json.size() == 3);
    devices.push_back({entry.path().filename().string(), caps_from_json(json.at("limits").dump())});
  }
  std::ranges::sort(devices, {}, &Described::file);
  return devices;
}

TEST_CASE("there are descriptions of devices of every vendor") {
  const std::vector<testing::Described> devices = testing::all_devices();
  CHECK(devices.size() >= 20);
  for (const testing::Described& device : devices) {
    CAPTURE(device.file);
    CHECK_NOTHROW(usable_caps(device.reported));
    CHECK(caps_from_json(caps_to_json(device.reported)) == device.reported);
  }
}

TEST_CASE("caps are read back from the JSON that they are written as, and nothing else is") {
  DeviceCaps caps;
  caps.name = "a \"device\"";
  caps.type = DeviceType::Virtual;
  caps.max_workgroup_count = {UINT32_MAX, 2, 3};
  caps.max_loop_iterations = UINT64_MAX;
  caps.memory = 12345678901234;
  caps.subgroup_shuffle = true;
  CHECK(caps_from_json(caps_to_json(caps)) == caps);
  const auto refusal = [&](const auto& change) {
    nlohmann::json json = nlohmann::json::parse(caps_to_json(caps));
    change(json);
    try {
      caps_from_json(json.dump());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  using Json = nlohmann::json;
  CHECK(refusal([](Json&) {}) == "none");
  CHECK(refusal([](Json& j) { j.erase("max_resources"); }) == "device description: 'max_resources' is missing");
  CHECK(refusal([](Json& j) { j["warp"] = 32; }) == "device description: 'warp' is not known to this version of heed");
  CHECK(refusal([](Json& j) { j["subgroup_size"] = -1; }) ==
        "device description: 'subgroup_size' is -1; expected a whole number up to 4294967295");
  CHECK(refusal([](Json& j) { j["subgroup_size"] = 4294967296; }) ==
        "device description: 'subgroup_size' is 4294967296; expected a whole number up to 4294967295");
  CHECK(refusal([](Json& j) { j["subgroup_shuffle"] = 1; }) ==
        "device description: 'subgroup_shuffle' is neither true nor false");
  CHECK(refusal([](Json& j) {
          j["max_workgroup_size"] = {1, 2};
        }) == "device description: 'max_workgroup_size' is no list of 3 numbers");
  CHECK(refusal([](Json& j) { j["type"] = "gpu"; }) ==
        "device description: 'type' is \"gpu\"; expected discrete, integrated, virtual, cpu or other");
  CHECK(refusal([](Json& j) { j["name"] = 7; }) == "device description: 'name' is no text");
  const Json whole = Json::parse(caps_to_json(caps));
  for (const auto& item : whole.items()) {
    const std::string& key = item.key();
    CAPTURE(key);
    CHECK(refusal([&](Json& j) { j.erase(key); }) == fmt::format("device description: '{}' is missing", key));
  }
  CHECK_THROWS_AS(caps_from_json("[]"), Error);
  CHECK_THROWS_AS(caps_from_json("{"), Error);
}

}  // namespace heed
