#include <algorithm>
#include <array>

#include "chat/library.h"
#include "chat/operators.h"
#include "chat/python_text.h"

namespace heed::chat {
namespace {

// All that Python's types have, so that none is taken for an attribute that is not there.
constexpr auto kTextMethods = std::to_array<std::string_view>(
    {"capitalize", "casefold",     "center",       "count",   "encode",     "endswith",    "expandtabs",
     "find",       "format",       "format_map",   "index",   "isalnum",    "isalpha",     "isascii",
     "isdecimal",  "isdigit",      "isidentifier", "islower", "isnumeric",  "isprintable", "isspace",
     "istitle",    "isupper",      "join",         "ljust",   "lower",      "lstrip",      "maketrans",
     "partition",  "removeprefix", "removesuffix", "replace", "rfind",      "rindex",      "rjust",
     "rpartition", "rsplit",       "rstrip",       "split",   "splitlines", "startswith",  "strip",
     "swapcase",   "title",        "translate",    "upper",   "zfill"});
constexpr auto kListMethods = std::to_array<std::string_view>(
    {"append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"});
constexpr auto kDictMethods = std::to_array<std::string_view>(
    {"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"});
/// Those that change a list or dict, which the sandbox that transformers runs templates in forbids.
constexpr auto kChanging = std::to_array<std::string_view>(
    {"append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"});

bool among(const auto& names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

/// Texts to look for at an end: one, or a tuple of them.
bool any_matches(const Value& wanted, const Work& work, const auto& matches) {
  if (wanted.is_text()) return matches(wanted.as_bytes());
  if (!wanted.is_sequence() || wanted.as_sequence().kind != Sequence::Kind::Tuple) {
    work.fail("startswith and endswith look for a text or a tuple of texts, not for {}", type_name(wanted));
  }
  return std::ranges::any_of(wanted.as_sequence().items, [&](const Value& item) {
    if (!item.is_text()) work.fail("startswith and endswith look for texts, not for {}", type_name(item));
    return matches(item.as_bytes());
  });
}

std::optional<std::string> optional_text(const Value& value, const Work& work, const std::string& called) {
  if (value.is_undefined() || value.is<None>()) return {};
  if (!value.is_text()) work.fail("{}: {} is given where a text is expected", called, type_name(value));
  return value.as_bytes();
}

Value parts_as_list(const Text& text, const std::vector<std::string_view>& parts, Work& work) {
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(make_text(text.part(part), work));
  return make_sequence(std::move(items), Sequence::Kind::List, work);
}

/// The place of a part, by code points, -1 where it is not.
std::int64_t place_of(std::string_view text, std::string_view part, bool last) {
  const std::size_t found = last ? text.rfind(part) : text.find(part);
  return found == std::string_view::npos ? -1 : static_cast<std::int64_t>(count_characters(text.substr(0, found)));
}

std::int64_t count_of(std::string_view text, std::string_view part) {
  if (part.empty()) return static_cast<std::int64_t>(count_characters(text)) + 1;
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++count;
  return count;
}

Text joined(const Text& separator, const Value& values, Work& work) {
  Text result;
  bool first = true;
  for (const Value& item : all_of(values, work)) {
    if (!item.is_text()) work.fail("join: {} is among what is to be joined; expected texts", type_name(item));
    if (!first) append(result, separator, work);
    first = false;
    append(result, item.as_text(), work);
  }
  return result;
}

Value parted(const Text& text, const std::string& separator, bool last, Work& work) {
  const std::string_view bytes = text.bytes();
  work.charge_search(bytes, separator);
  const std::size_t found = last ? bytes.rfind(separator) : bytes.find(separator);
  std::vector<Value> parts;
  if (found == std::string_view::npos) {
    parts = {Value::text(text), Value::own_text(""), Value::own_text("")};
    if (last) std::swap(parts[0], parts[2]);
  } else {
    parts = {make_text(text.part(bytes.substr(0, found)), work),
             make_text(text.part(bytes.substr(found, separator.size())), work),
             make_text(text.part(bytes.substr(found + separator.size())), work)};
  }
  return make_sequence(std::move(parts), Sequence::Kind::Tuple, work);
}

std::optional<CharacterClass> class_of(std::string_view method) {
  if (method == "isdigit") return CharacterClass::Digit;
  if (method == "isalpha") return CharacterClass::Alphabetic;
  if (method == "isalnum") return CharacterClass::Alphanumeric;
  if (method == "isspace") return CharacterClass::Space;
  if (method == "isupper") return CharacterClass::Upper;
  if (method == "islower") return CharacterClass::Lower;
  return {};
}

Value call_text_method(const Text& original, const std::string& name, Arguments& arguments, Work& work) {
  const std::string& text = original.bytes();
  const auto changed = [&](std::string bytes) { return make_text(Text(std::move(bytes), original.has_given()), work); };
  const auto part_of = [&](std::string_view part) { return make_text(original.part(part), work); };
  work.charge(text.size() / 16);
  const auto separator = [&](std::string_view argument) {
    const Value value = arguments.take(argument);
    auto given = optional_text(value, work, name);
    if (given && given->empty()) work.fail("{}: the separator is empty", name);
    return given;
  };
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Side side = name == "strip" ? Side::Both : name == "lstrip" ? Side::Left : Side::Right;
    const auto characters = optional_text(arguments.take("chars"), work, name);
    if (characters) work.charge_search(text, *characters);
    return part_of(strip(text, characters, side));
  }
  if (name == "split" || name == "rsplit") {
    const auto at = separator("sep");
    const std::int64_t most = arguments.take_integer("maxsplit", -1);
    return parts_as_list(original,
                         name == "split" ? split(text, at, most, work) : split_from_right(text, at, most, work), work);
  }
  if (name == "splitlines") {
    return parts_as_list(original, split_into_lines(text, arguments.take_flag("keepends", false), work), work);
  }
  if (name == "partition" || name == "rpartition")
    return parted(original, separator("sep").value_or(" "), name[0] == 'r', work);
  if (name == "startswith" || name == "endswith") {
    const Value wanted = arguments.take_required("prefix");
    return Value(any_matches(wanted, work, [&](const std::string& part) {
      work.charge_comparison(text, part);
      return name == "endswith" ? text.ends_with(part) : text.starts_with(part);
    }));
  }
  if (name == "replace") {
    const Text from = arguments.take_text("old", "");
    const Text to = arguments.take_text("new", "");
    return Value::text(replace(original, from.bytes(), to, arguments.take_integer("count", -1), work));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string part = arguments.take_text("prefix", "").bytes();
    const bool front = name == "removeprefix";
    if (!(front ? text.starts_with(part) : text.ends_with(part))) return Value::text(original);
    const std::string_view bytes = text;
    return part_of(front ? bytes.substr(part.size()) : bytes.substr(0, text.size() - part.size()));
  }
  if (name == "upper") return changed(upper(text, work));
  if (name == "lower") return changed(lower(text));
  if (name == "title") return changed(title(text, work));
  if (name == "capitalize") return changed(capitalize(text, work));
  if (name == "join") return make_text(joined(original, arguments.take_required("iterable"), work), work);
  if (name == "count") {
    const std::string part = arguments.take_text("sub", "").bytes();
    work.charge_search(text, part);
    return Value(count_of(text, part));
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    const std::string part = arguments.take_text("sub", "").bytes();
    work.charge_search(text, part);
    const std::int64_t place = place_of(text, part, name[0] == 'r');
    if (place < 0 && name.ends_with("index")) work.fail("{}: '{}' is not in the text", name, part.substr(0, 100));
    return Value(place);
  }
  if (const auto kind = class_of(name)) return Value(all_are(text, *kind));
  work.fail("the method '{}' of a text is not supported", name);
}

Value call_dict_method(const Dict& dict, const std::string& name, Arguments& arguments, Work& work) {
  if (name == "get") {
    const Value key = arguments.take_required("key");
    Value otherwise = arguments.has_next() ? arguments.take("default") : Value::none();
    const Value* entry = find_entry(dict, key, work);
    return entry != nullptr ? *entry : otherwise;
  }
  std::vector<Value> items;
  if (name == "copy") return make_dict(dict.entries, work);
  if (name != "items" && name != "keys" && name != "values") {
    work.fail("the method '{}' of a dict is not supported", name);
  }
  for (const auto& [key, value] : dict.entries) {
    if (name == "items") {
      items.push_back(make_sequence({key, value}, Sequence::Kind::Tuple, work));
    } else {
      items.push_back(name == "keys" ? key : value);
    }
  }
  return make_sequence(std::move(items), Sequence::Kind::View, work);
}

Value call_list_method(const Sequence& list, const std::string& name, Arguments& arguments, Work& work) {
  const auto matches = [&](const Value& wanted) {
    return [&](const Value& item) { return equal(item, wanted, work); };
  };
  if (name == "index") {
    const Value wanted = arguments.take_required("value");
    const auto found = std::ranges::find_if(list.items, matches(wanted));
    if (found == list.items.end()) work.fail("index: the value is not in the list");
    return Value(static_cast<std::int64_t>(found - list.items.begin()));
  }
  if (name == "count") {
    const Value wanted = arguments.take_required("value");
    return Value(static_cast<std::int64_t>(std::ranges::count_if(list.items, matches(wanted))));
  }
  if (name == "copy") return make_sequence(list.items, list.kind, work);
  work.fail("the method '{}' of a list is not supported", name);
}

Value call_loop_method(const Loop& loop, const std::string& name, Arguments& arguments, Work& work) {
  if (name != "cycle") work.fail("'loop.{}()' is not supported", name);
  const std::vector<Value> values = arguments.take_rest();
  if (values.empty()) work.fail("loop.cycle: nothing to choose from");
  return values[loop.index % values.size()];
}

}  // namespace

bool is_method(const Value& value, const std::string& name) {
  if (value.is_text()) return among(kTextMethods, name);
  if (value.is_dict()) return among(kDictMethods, name);
  if (value.is_sequence()) {
    const Sequence::Kind kind = value.as_sequence().kind;
    if (kind == Sequence::Kind::List) return among(kListMethods, name);
    return kind == Sequence::Kind::Tuple && (name == "index" || name == "count");
  }
  return value.is<std::shared_ptr<const Loop>>() && (name == "cycle" || name == "changed");
}

Value call_method(const Value& value, const std::string& name, Arguments& arguments, Work& work) {
  if (!value.is_text() && among(kChanging, name)) {
    work.fail("'{}' changes a {}, which chat templates may not", name, type_name(value));
  }
  Value result;
  if (value.is_text()) {
    result = call_text_method(value.as_text(), name, arguments, work);
  } else if (value.is_dict()) {
    result = call_dict_method(value.as_dict(), name, arguments, work);
  } else if (value.is_sequence()) {
    result = call_list_method(value.as_sequence(), name, arguments, work);
  } else {
    result = call_loop_method(*value.get<std::shared_ptr<const Loop>>(), name, arguments, work);
  }
  arguments.finish();
  return result;
}

}  // namespace heed::chat
