// DeviceCaps as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "heed/error.h"
#include "plan/device_caps.h"

namespace heed {
namespace {

using Json = nlohmann::json;

constexpr std::pair<DeviceType, std::string_view> kDeviceTypes[] = {{DeviceType::Discrete, "discrete"},
                                                                    {DeviceType::Integrated, "integrated"},
                                                                    {DeviceType::Virtual, "virtual"},
                                                                    {DeviceType::Cpu, "cpu"},
                                                                    {DeviceType::Other, "other"}};

/// Calls visit(key, field) for every field. One list for both directions, so that neither forgets a field.
template <typename Caps, typename Visit>
void each_field(Caps& caps, Visit&& visit) {
  visit("name", caps.name);
  visit("type", caps.type);
  visit("max_storage_buffer_range", caps.max_storage_buffer_range);
  visit("max_texel_buffer_elements", caps.max_texel_buffer_elements);
  visit("max_storage_buffers", caps.max_storage_buffers);
  visit("max_texel_buffers", caps.max_texel_buffers);
  visit("max_resources", caps.max_resources);
  visit("memory", caps.memory);
  visit("max_memory_allocation", caps.max_memory_allocation);
  visit("buffer_alignment", caps.buffer_alignment);
  visit("max_push_constants", caps.max_push_constants);
  visit("max_workgroup_invocations", caps.max_workgroup_invocations);
  visit("max_workgroup_size", caps.max_workgroup_size);
  visit("max_workgroup_count", caps.max_workgroup_count);
  visit("max_shared_memory", caps.max_shared_memory);
  visit("subgroup_size", caps.subgroup_size);
  visit("subgroup_arithmetic", caps.subgroup_arithmetic);
  visit("subgroup_shuffle", caps.subgroup_shuffle);
  visit("max_loop_iterations", caps.max_loop_iterations);
  visit("cooperative_sizes", caps.cooperative_sizes);
  visit("integer_dot_product", caps.integer_dot_product);
}

[[noreturn]] void refuse(std::string_view key, std::string_view what) {
  throw Error(fmt::format("device description: '{}' {}", key, what));
}

void read_field(std::string_view key, const Json& json, std::string& field) {
  if (!json.is_string()) refuse(key, "is no text");
  field = json.get<std::string>();
}

void read_field(std::string_view key, const Json& json, DeviceType& field) {
  for (const auto& [type, name] : kDeviceTypes) {
    if (json.is_string() && json.get_ref<const std::string&>() == name) {
      field = type;
      return;
    }
  }
  refuse(key, fmt::format("is {}; expected discrete, integrated, virtual, cpu or other", json.dump()));
}

void read_field(std::string_view key, const Json& json, bool& field) {
  if (!json.is_boolean()) refuse(key, "is neither true nor false");
  field = json.get<bool>();
}

template <std::unsigned_integral T>
void read_field(std::string_view key, const Json& json, T& field) {
  constexpr std::uint64_t kMost = std::numeric_limits<T>::max();
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > kMost) {
    refuse(key, fmt::format("is {}; expected a whole number up to {}", json.dump(), kMost));
  }
  field = static_cast<T>(json.get<std::uint64_t>());
}

void read_field(std::string_view key, const Json& json, std::array<std::uint32_t, 3>& field) {
  if (!json.is_array() || json.size() != field.size()) refuse(key, "is no list of 3 numbers");
  for (std::size_t i = 0; i < field.size(); ++i) read_field(key, json[i], field[i]);
}

void read_field(std::string_view key, const Json& json, std::vector<std::array<std::uint32_t, 3>>& field) {
  if (!json.is_array()) refuse(key, "is no list");
  for (const Json& item : json) read_field(key, item, field.emplace_back());
}

Json as_json(DeviceType type) {
  for (const auto& [known, name] : kDeviceTypes) {
    if (known == type) return name;
  }
  return "other";
}

template <typename T>
Json as_json(const T& field) {
  return field;
}

}  // namespace

std::string caps_to_json(const DeviceCaps& caps) {
  Json json = Json::object();
  each_field(caps, [&](const char* key, const auto& field) { json[key] = as_json(field); });
  // A driver's name may be any bytes.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

DeviceCaps caps_from_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw Error("device description: is no JSON object");
  DeviceCaps caps;
  std::set<std::string, std::less<>> known;
  each_field(caps, [&](const char* key, auto& field) {
    known.insert(key);
    const auto found = json.find(key);
    if (found == json.end()) refuse(key, "is missing");
    read_field(key, *found, field);
  });
  for (const auto& [key, value] : json.items()) {
    if (!known.contains(key)) refuse(key, "is not known to this version of heed");
  }
  return caps;
}

}  // namespace heed
