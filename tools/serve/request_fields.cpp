#include "tools/serve/request_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "tools/serve/http_server.h"

namespace heed::tools {

std::string shown(const nlohmann::ordered_json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return value.empty() ? "an empty array" : "an array";
  std::string text = value.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::optional<std::int64_t> integer_of(const nlohmann::ordered_json& value) {
  if (value.is_number_float()) {
    constexpr double kExact = 9007199254740992.0;  // from there on doubles leave integers out
    const auto number = value.get<double>();
    if (!(std::abs(number) < kExact) || std::trunc(number) != number) return {};
    return static_cast<std::int64_t>(number);
  }
  if (!value.is_number_integer()) return {};
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return {};
  return value.get<std::int64_t>();
}

RequestFields::RequestFields(const nlohmann::ordered_json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) {
    throw HttpError(400, fmt::format("{} is {}, expected an object", where_, shown(object)), where_);
  }
}

std::string RequestFields::path(std::string_view name) const {
  return where_.empty() ? std::string(name) : fmt::format("{}.{}", where_, name);
}

void RequestFields::fail(std::string_view name, const std::string& expected) const {
  const auto found = object_.find(name);
  throw HttpError(
      400,
      fmt::format("{} is {}, expected {}", path(name), found == object_.end() ? "missing" : shown(*found), expected),
      path(name));
}

const nlohmann::ordered_json* RequestFields::any(std::string_view name) {
  read_.emplace(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> RequestFields::text(std::string_view name) {
  const nlohmann::ordered_json* const value = any(name);
  if (value == nullptr) return {};
  if (!value->is_string()) fail(name, "a text");
  return value->get<std::string>();
}

std::optional<bool> RequestFields::boolean(std::string_view name) {
  const nlohmann::ordered_json* const value = any(name);
  if (value == nullptr) return {};
  if (!value->is_boolean()) fail(name, "true or false");
  return value->get<bool>();
}

std::optional<double> RequestFields::number(std::string_view name, double least, double most) {
  const nlohmann::ordered_json* const value = any(name);
  if (value == nullptr) return {};
  const bool bounded = most < std::numeric_limits<double>::max();
  const std::string expected = bounded ? fmt::format("a number from {} to {}", least, most)
                               : least > -std::numeric_limits<double>::max()
                                   ? fmt::format("a number of {} or more", least)
                                   : "a number";
  if (!value->is_number()) fail(name, expected);
  const auto number = value->get<double>();
  if (!(number >= least && number <= most)) fail(name, expected);
  return number;
}

std::optional<std::int64_t> RequestFields::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const nlohmann::ordered_json* const value = any(name);
  if (value == nullptr) return {};
  const std::string expected = most < INT64_MAX    ? fmt::format("an integer from {} to {}", least, most)
                               : least > INT64_MIN ? fmt::format("an integer of {} or more", least)
                                                   : "an integer";
  const std::optional<std::int64_t> number = integer_of(*value);
  if (!number || *number < least || *number > most) fail(name, expected);
  return number;
}

void RequestFields::ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) read_.emplace(name);
}

void RequestFields::refuse_unread() const {
  for (const auto& item : object_.items()) {
    if (read_.contains(item.key()) || item.value().is_null()) continue;
    const std::string where = path(item.key());
    throw HttpError(400, fmt::format("{} is not known here; leave it out", where), where);
  }
}

}  // namespace heed::tools
