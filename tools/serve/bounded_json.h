#pragma once

#include <cstddef>
#include <string_view>

namespace heed::tools {

/// Levels of JSON that strangers send. Nothing that is asked for is deeper, and what is printed again is printed
/// recursively.
inline constexpr int kJsonDepth = 100;

/// Values and keys of JSON that strangers send: each takes much more memory than its text.
inline constexpr std::size_t kJsonValues = 200'000;

/// Reads JSON of at most so many levels and values. What is no JSON, or deeper, or more, is discarded
/// (Json::is_discarded()).
template <typename Json>
Json bounded_json(std::string_view text) {
  bool over = false;
  std::size_t values = 0;
  Json json = Json::parse(
      text,
      [&](int depth, typename Json::parse_event_t, Json&) {
        over = over || depth > kJsonDepth || ++values > kJsonValues;
        return !over;
      },
      /*allow_exceptions=*/false);
  return over ? Json(Json::value_t::discarded) : json;
}

}  // namespace heed::tools
