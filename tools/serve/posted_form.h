#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace heed::tools {

/// "application/json" of "Application/JSON; charset=utf-8".
std::string media_type(std::string_view content_type);

/// The object that a JSON body is. Throws HttpError 400 where it is none.
nlohmann::ordered_json json_fields(const std::string& body);

/// A body as it came, and what it is said to be.
struct PostedBody {
  std::string content_type;  // "multipart/form-data; boundary=x"
  std::string bytes;
};

/// What a client filled in, as JSON, as a form, or as a form of several parts.
struct PostedForm {
  nlohmann::ordered_json fields =
      nlohmann::ordered_json::object();      // texts of forms; arrays of those that came several times
  std::map<std::string, std::string> files;  // by field
  bool is_json = false;

  /// Throws HttpError 400 for what cannot be read, 415 for bodies of other types.
  static PostedForm read(PostedBody body);

  /// The fields, and of these names what forms can only write as text: "3" is a number, "true" a boolean.
  nlohmann::ordered_json with_values(std::initializer_list<std::string_view> names) const;
};

}  // namespace heed::tools
