#include "tools/convert/hf_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/split.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

using Json = nlohmann::json;

void HfJson::fail(const std::string& message) const { throw Error(fmt::format("{}: {}", name_, message)); }

const Json& HfJson::member(const Json& object, const char* key) const {
  static const Json kNull;
  if (!object.is_object()) fail(fmt::format("an object with '{}' is expected instead of {}", key, shown(object)));
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

bool HfJson::flag(const Json& object, const char* key, bool otherwise) const {
  const Json& value = member(object, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail(fmt::format("'{}' is {}; expected true or false", key, shown(value)));
  return value.get<bool>();
}

std::string HfJson::text(const Json& object, const char* key) const {
  const Json& value = member(object, key);
  if (!value.is_string()) fail(fmt::format("'{}' is {}; expected a string", key, shown(value)));
  return value.get<std::string>();
}

std::string HfJson::type(const Json& object, const char* what) const {
  const Json& value = member(object, "type");
  if (!value.is_string()) fail(fmt::format("the {} has no type", what));
  return value.get<std::string>();
}

const Json& HfJson::list(const Json& object, const char* key) const {
  const Json& value = member(object, key);
  if (!value.is_array()) fail(fmt::format("'{}' is {}; expected a list", key, shown(value)));
  return value;
}

void HfJson::only_keys(const Json& object, std::string_view what, std::initializer_list<std::string_view> keys) const {
  if (!object.is_object()) fail(fmt::format("{} is not a JSON object", what));
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(keys, key) == keys.end() && !value.is_null()) {
      fail(fmt::format("{} has the property {}, which heed does not know", what, in_quotes(key)));
    }
  }
}

std::vector<Json> HfJson::steps(const Json& part, const char* what, const char* steps_key) const {
  if (part.is_null()) return {};
  if (type(part, what) != "Sequence") return {part};
  std::vector<Json> all;
  for (const Json& step : list(part, steps_key)) {
    const std::vector<Json> inner = steps(step, what, steps_key);
    all.insert(all.end(), inner.begin(), inner.end());
  }
  return all;
}

void HfJson::read_pattern(const Json& step, std::string& find, bool& is_regex) const {
  const Json& pattern = member(step, "pattern");
  is_regex = !member(pattern, "Regex").is_null();
  find = text(pattern, is_regex ? "Regex" : "String");
  const std::string kind = type(step, "step");
  if (find.empty()) fail(fmt::format("the {} looks for an empty string, which heed does not support", kind));
  if (!is_regex) return;
  if (const std::string why = why_no_pattern(find); !why.empty()) {
    fail(fmt::format("Oniguruma, the library that tokenizers has for patterns, refuses the {} {}: {}", kind,
                     in_quotes(find), why));
  }
}

}  // namespace heed::convert
