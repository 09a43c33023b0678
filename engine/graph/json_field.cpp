#include "graph/json_field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "heed/error.h"

namespace heed {
namespace {

// Keys go into messages escaped and not too long.
std::string shown(std::string_view key) {
  return nlohmann::json(key.substr(0, 64)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Walks through the text and builds nothing, so that the limits hold before memory is spent.
class LimitChecker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit LimitChecker(std::string_view where) : where_(where) {}

  bool null() override { return count_value(); }
  bool boolean(bool) override { return count_value(); }
  bool number_integer(std::int64_t) override { return count_value(); }
  bool number_unsigned(std::uint64_t) override { return count_value(); }
  bool number_float(double, const std::string&) override { return count_value(); }
  bool string(std::string&) override { return count_value(); }
  bool binary(binary_t&) override { return count_value(); }
  bool start_object(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second)
      throw Error(fmt::format("{}: the key {} appears twice", where_, shown(name)));
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    throw Error(fmt::format("{}: not well-formed JSON at byte {}: {}", where_, position, error.what()));
  }

 private:
  bool count_value() {
    if (++values_ > kMaxJsonValues) throw Error(fmt::format("{}: more than {} JSON values", where_, kMaxJsonValues));
    return true;
  }
  bool enter() {
    keys_.emplace_back();
    if (keys_.size() > kMaxJsonDepth) throw Error(fmt::format("{}: JSON nested deeper than {}", where_, kMaxJsonDepth));
    return count_value();
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  std::string_view where_;
  std::size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open; an array has none
};

template <typename List>
std::string quoted_list(const List& names) {
  std::string text;
  for (const auto& name : names) text += fmt::format("{}'{}'", text.empty() ? "" : ", ", name);
  return text;
}

bool in_range(const nlohmann::json& json, std::int64_t least, std::int64_t most) {
  if (json.is_number_unsigned()) {
    const auto value = json.get<std::uint64_t>();
    return value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) &&
           static_cast<std::int64_t>(value) >= least && static_cast<std::int64_t>(value) <= most;
  }
  if (!json.is_number_integer()) return false;
  const auto value = json.get<std::int64_t>();
  return value >= least && value <= most;
}

// What stands there instead, short enough for a message.
std::string found(const nlohmann::json& json) {
  if (json.is_structured() || json.is_string() || json.is_null() || json.is_binary()) return json.type_name();
  return json.dump();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where) {
  try {
    LimitChecker checker(where);
    nlohmann::json::sax_parse(text, &checker);
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
}

void JsonField::fail(const std::string& message) const { throw Error(fmt::format("{}: {}", where_, message)); }

void JsonField::check_keys(std::initializer_list<std::string_view> required,
                           std::initializer_list<std::string_view> optional) const {
  if (!json_->is_object()) fail(fmt::format("expected an object, found {}", found(*json_)));
  for (const std::string_view key : required) {
    if (!json_->contains(key)) fail(fmt::format("the key '{}' is missing", key));
  }
  const auto in = [](std::initializer_list<std::string_view> keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const auto& [key, value] : json_->items()) {
    if (!in(required, key) && !in(optional, key)) {
      fail(
          fmt::format("unknown key {} (known: {}); the file may need a newer heed", shown(key), quoted_list(required)));
    }
  }
}

bool JsonField::has(std::string_view key) const {
  if (!json_->is_object()) fail(fmt::format("expected an object, found {}", found(*json_)));
  return json_->contains(key);
}

JsonField JsonField::at(std::string_view key) const {
  if (!has(key)) fail(fmt::format("the key '{}' is missing", key));
  return JsonField(*json_->find(key), fmt::format("{}.{}", where_, key));
}

std::size_t JsonField::array_size(std::size_t most) const {
  if (!json_->is_array()) fail(fmt::format("expected an array, found {}", found(*json_)));
  if (json_->size() > most) fail(fmt::format("has {} elements; heed handles up to {}", json_->size(), most));
  return json_->size();
}

JsonField JsonField::at(std::size_t index) const {
  if (index >= array_size(kMaxJsonValues)) fail(fmt::format("has no element {}", index));
  return JsonField((*json_)[index], fmt::format("{}[{}]", where_, index));
}

std::int64_t JsonField::integer(std::int64_t least, std::int64_t most) const {
  if (!in_range(*json_, least, most)) {
    fail(fmt::format("expected an integer between {} and {}, found {}", least, most, found(*json_)));
  }
  return json_->get<std::int64_t>();
}

std::vector<std::int64_t> JsonField::integers(std::int64_t least, std::int64_t most, std::size_t most_count) const {
  const std::size_t count = array_size(most_count);
  std::vector<std::int64_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const nlohmann::json& element = (*json_)[i];
    values[i] = in_range(element, least, most) ? element.get<std::int64_t>() : at(i).integer(least, most);  // throws
  }
  return values;
}

double JsonField::real() const {
  if (json_->is_number()) return json_->get<double>();
  if (json_->is_string()) {
    const auto& word = json_->get_ref<const std::string&>();
    if (word == "inf") return std::numeric_limits<double>::infinity();
    if (word == "-inf") return -std::numeric_limits<double>::infinity();
    if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  }
  fail(fmt::format("expected a number, \"inf\", \"-inf\" or \"nan\", found {}", found(*json_)));
}

const std::string& JsonField::text(std::size_t most_bytes) const {
  if (!json_->is_string()) fail(fmt::format("expected a string, found {}", found(*json_)));
  const auto& value = json_->get_ref<const std::string&>();
  if (value.size() > most_bytes) fail(fmt::format("has {} bytes; heed handles up to {}", value.size(), most_bytes));
  return value;
}

const std::string& JsonField::name(std::size_t most_bytes) const {
  const std::string& value = text(most_bytes);
  if (value.empty()) fail("is an empty name");
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) fail("is a name with a control character");
  }
  return value;
}

}  // namespace heed
