#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace heed::tools {

/// The fields of a JSON object that a client sent. Each is asked for by name, and null counts as absent; what nobody
/// asked for is refused in the end, so that nothing a client wants is passed over. All throw HttpError 400 naming the
/// field.
class RequestFields {
 public:
  /// `where`: the object's place in the request, such as "messages[0]"; empty for the whole. It must live as long.
  explicit RequestFields(const nlohmann::ordered_json& object, std::string where = {});

  const nlohmann::ordered_json* any(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, double least = -std::numeric_limits<double>::max(),
                               double most = std::numeric_limits<double>::max());
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least = INT64_MIN,
                                      std::int64_t most = INT64_MAX);
  /// Of fields that change nothing here, whatever they say.
  void ignore(std::initializer_list<std::string_view> names);
  void refuse_unread() const;

  /// "messages[0].role"
  std::string path(std::string_view name) const;
  [[noreturn]] void fail(std::string_view name, const std::string& expected) const;

 private:
  const nlohmann::ordered_json& object_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

/// The integer that a value is, which some clients write as 5.0; none for all else, and for what 64 bits cannot hold.
std::optional<std::int64_t> integer_of(const nlohmann::ordered_json& value);

/// What a message shows of a value that was not expected.
std::string shown(const nlohmann::ordered_json& value);

}  // namespace heed::tools
