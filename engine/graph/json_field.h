#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// JSON deeper than this, or of more values, is refused before anything is built from it.
inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonValues = std::size_t{1} << 22;

/// Parses JSON that nobody vouches for. Throws Error, beginning with `where`, when the text is not JSON, passes the
/// limits above, or gives a key twice in one object (readers would disagree on which one counts).
nlohmann::json parse_json(std::string_view text, std::string_view where);

/// One value of such a document with its place in it, for reading with every type and bound checked: each method throws
/// Error naming the place when the value is not what is asked for. Refers to the document, which must outlive it.
class JsonField {
 public:
  JsonField(const nlohmann::json& json, std::string where) : json_(&json), where_(std::move(where)) {}

  const nlohmann::json& json() const { return *json_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& message) const;

  /// Requires an object with all the `required` keys and no others but the `optional` ones.
  void check_keys(std::initializer_list<std::string_view> required,
                  std::initializer_list<std::string_view> optional = {}) const;
  /// Requires an object.
  bool has(std::string_view key) const;
  JsonField at(std::string_view key) const;
  /// Requires an array of at most `most` elements; gives how many.
  std::size_t array_size(std::size_t most) const;
  JsonField at(std::size_t index) const;

  /// An integer between `least` and `most`; 5.0 is not one.
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  /// An array of at most `most_count` such integers.
  std::vector<std::int64_t> integers(std::int64_t least, std::int64_t most, std::size_t most_count) const;
  /// A number, or one of the strings "inf", "-inf" and "nan", which JSON has no numbers for.
  double real() const;
  /// A string of at most `most_bytes` bytes.
  const std::string& text(std::size_t most_bytes) const;
  /// A string that is not empty, has at most `most_bytes` bytes and no control characters: it ends up in messages.
  const std::string& name(std::size_t most_bytes) const;

 private:
  const nlohmann::json* json_;
  std::string where_;
};

}  // namespace heed
