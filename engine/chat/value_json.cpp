#include <algorithm>
#include <cmath>

#include "chat/python_text.h"
#include "chat/value.h"

namespace heed::chat {
namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonOptions& options, Work& work) : options_(options), work_(work) {}

  Text write(const Value& value) {
    add(value, 0);
    work_.charge_text(text_);
    return std::move(text_);
  }

 private:
  void add(const Value& value, int level) {
    work_.charge(1);
    if (text_.size() > Work::kMostBytes) work_.charge_text(text_.size());
    if (value.is<None>()) {
      text_.add("null");
    } else if (value.is<bool>()) {
      text_.add(value.get<bool>() ? "true" : "false");
    } else if (value.is<double>() && !std::isfinite(value.get<double>())) {
      text_.add(std::isnan(value.get<double>()) ? "NaN" : value.get<double>() < 0 ? "-Infinity" : "Infinity");
    } else if (value.is_number()) {
      append(text_, repr_of(value, work_), work_);
    } else if (value.is_text()) {
      add_string(value.as_text());
    } else if (value.is_dict()) {
      add_dict(value.as_dict(), level);
    } else if (value.is_sequence() && (value.as_sequence().kind == Sequence::Kind::List ||
                                       value.as_sequence().kind == Sequence::Kind::Tuple)) {
      add_list(value.as_sequence(), level);
    } else {
      work_.fail("tojson: a value that is {} cannot be JSON", type_name(value));
    }
  }

  void break_line(int level) {
    if (!options_.indents) return;
    work_.charge_text(options_.indent.size() * static_cast<std::size_t>(level));
    text_.add("\n");
    for (int i = 0; i < level; ++i) append(text_, options_.indent, work_);
  }

  void add_list(const Sequence& list, int level) {
    if (list.items.empty()) {
      text_.add("[]");
      return;
    }
    text_.add("[");
    for (const Value& item : list.items) {
      if (&item != &list.items.front()) append(text_, options_.between, work_);
      break_line(level + 1);
      add(item, level + 1);
    }
    break_line(level);
    text_.add("]");
  }

  void add_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) {
      text_.add("{}");
      return;
    }
    std::vector<std::pair<Text, const Value*>> entries;
    for (const auto& [key, value] : dict.entries) entries.emplace_back(key_text(key), &value);
    if (options_.sort_keys) {
      std::ranges::stable_sort(entries, {},
                               [](const auto& entry) -> const std::string& { return entry.first.bytes(); });
    }
    text_.add("{");
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (!first) append(text_, options_.between, work_);
      first = false;
      break_line(level + 1);
      add_string(key);
      append(text_, options_.behind_key, work_);
      add(*value, level + 1);
    }
    break_line(level);
    text_.add("}");
  }

  Text key_text(const Value& key) {
    if (key.is_text()) return key.as_text();
    if (key.is<None>()) return Text("null");
    if (key.is<bool>()) return Text(key.get<bool>() ? "true" : "false");
    if (!key.is_number()) work_.fail("tojson: a {} cannot be a key of JSON", type_name(key));
    return repr_of(key, work_);
  }

  /// A string is given with its quotes where any of it is: JSON spells it as it likes.
  void add_string(const Text& text) {
    std::string quoted(1, '"');
    if (options_.ascii) {
      for (const char32_t code : code_points(text.bytes())) add_ascii(static_cast<std::uint32_t>(code), quoted);
    } else {
      for (const char c : text.bytes()) add_plain(c, quoted);
    }
    quoted += '"';
    text_.add(quoted, text.has_given());
  }

  static void add_plain(char c, std::string& to) {
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
    constexpr std::string_view kLetters = "\"\\nrtbf";
    if (const std::size_t at = kEscaped.find(c); at != std::string_view::npos) {
      to += '\\';
      to += kLetters[at];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      to += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      to += c;
    }
  }

  static void add_ascii(std::uint32_t code, std::string& to) {
    if (code < 0x7F) return add_plain(static_cast<char>(code), to);
    if (code < 0x10000) {
      to += fmt::format("\\u{:04x}", code);
    } else {
      to += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
    }
  }

  const JsonOptions& options_;
  Work& work_;
  Text text_;
};

}  // namespace

Text json_of(const Value& value, const JsonOptions& options, Work& work) {
  return JsonWriter(options, work).write(value);
}

}  // namespace heed::chat
