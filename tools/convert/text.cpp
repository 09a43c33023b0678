#include "tools/convert/text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace heed::convert {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  const bool cut = text.size() > kLongest;
  const nlohmann::json json = std::string(text.substr(0, kLongest));
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + (cut ? "..." : "");
}

bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 1024 && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string valid_utf8(std::string_view text) {
  const nlohmann::json json = std::string(text);
  return nlohmann::json::parse(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).get<std::string>();
}

}  // namespace heed::convert
