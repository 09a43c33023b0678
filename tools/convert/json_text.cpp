#include "tools/convert/json_text.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "heed/error.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"

namespace heed::convert {

nlohmann::json parse_json(const std::string& name, std::string_view text) {
  using Json = nlohmann::json;
  constexpr int kMaxDepth = 64;
  std::vector<std::set<std::string>> keys;  // of the objects that are open, outermost first
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) throw Error(fmt::format("{}: JSON is nested beyond {} levels", name, kMaxDepth));
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Error(fmt::format("{}: JSON has the key {} twice", name, in_quotes(parsed.get<std::string>())));
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception& problem) {
    // The library's message holds the offending text; its place is enough.
    const auto* parse_error = dynamic_cast<const Json::parse_error*>(&problem);
    throw Error(parse_error == nullptr ? fmt::format("{}: is not valid JSON", name)
                                       : fmt::format("{}: is not valid JSON at byte {}", name, parse_error->byte));
  }
}

nlohmann::json read_json(const std::filesystem::path& path, std::uint64_t limit) {
  return parse_json(path.string(), SourceFile::open(path)->read_all(limit));
}

nlohmann::json read_json_if_any(const std::filesystem::path& path, std::uint64_t limit) {
  return file_exists(path) ? read_json(path, limit) : nlohmann::json();
}

std::optional<std::uint64_t> natural(const nlohmann::json& value) {
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<std::int64_t>() < 0)) return {};
  return value.get<std::uint64_t>();
}

std::string shown(const nlohmann::json& value) {
  constexpr std::size_t kLongest = 120;
  const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

}  // namespace heed::convert
