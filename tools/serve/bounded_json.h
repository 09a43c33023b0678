#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace heed::tools {

/// Levels of JSON that strangers send. Nothing that is asked for is deeper, and what is printed again is printed
/// recursively.
inline constexpr int kJsonDepth = 100;

/// Values and keys of JSON that strangers send: each takes much more memory than its text.
inline constexpr std::size_t kJsonValues = 200'000;

/// Keys of an object that strangers send. Objects keep the order of their keys, and look each up among all others.
inline constexpr std::size_t kJsonKeys = 2048;

/// Reads JSON of at most so many levels, values and keys an object. What is no JSON, or deeper, or more, is discarded
/// (Json::is_discarded()).
template <typename Json>
Json bounded_json(std::string_view text) {
  bool over = false;
  std::size_t values = 0;
  std::array<std::size_t, kJsonDepth + 2> keys{};  // of the object that is open at each level
  Json json = Json::parse(
      text,
      [&](int depth, typename Json::parse_event_t event, Json&) {
        using Event = typename Json::parse_event_t;
        over = over || depth > kJsonDepth || ++values > kJsonValues;
        if (over) return false;
        // The beginning of an object is told at the level around it, its keys at their own.
        if (event == Event::object_start) keys[static_cast<std::size_t>(depth) + 1] = 0;
        if (event == Event::key) over = ++keys[static_cast<std::size_t>(depth)] > kJsonKeys;
        return !over;
      },
      /*allow_exceptions=*/false);
  return over ? Json(Json::value_t::discarded) : json;
}

}  // namespace heed::tools
