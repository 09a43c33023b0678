#pragma once

#include <string_view>

namespace heed::tools {

/// Levels of JSON that strangers send. Nothing that is asked for is deeper, and what is printed again is printed
/// recursively.
inline constexpr int kJsonDepth = 100;

/// Reads JSON of at most so many levels. What is no JSON, or deeper, is discarded (Json::is_discarded()).
template <typename Json>
Json bounded_json(std::string_view text) {
  bool deep = false;
  Json json = Json::parse(
      text,
      [&deep](int depth, typename Json::parse_event_t, Json&) {
        deep = deep || depth > kJsonDepth;
        return !deep;
      },
      /*allow_exceptions=*/false);
  return deep ? Json(Json::value_t::discarded) : json;
}

}  // namespace heed::tools
