#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "chat/library.h"
#include "chat/operators.h"
#include "chat/python_text.h"

namespace heed::chat {
namespace {

using Filter = std::function<Value(const Value&, Arguments&, Work&)>;

Value list_of_kind(std::vector<Value> items, Sequence::Kind kind, Work& work) {
  return make_sequence(std::move(items), kind, work);
}

/// What sorting and comparing look at: texts without regard to case, unless that is asked for.
Value sort_key(const Value& item, const Value& attribute, bool case_sensitive, Work& work) {
  const Value value = attribute.is_undefined() || attribute.is<None>() ? item : attribute_path(item, attribute, work);
  return value.is_text() && !case_sensitive
             ? make_text(Text(lower(value.as_bytes()), value.as_text().has_given()), work)
             : value;
}

std::vector<Value> sorted(std::vector<Value> items, const std::vector<Value>& keys, bool reverse, Work& work) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return reverse ? less(keys[b], keys[a], work) : less(keys[a], keys[b], work);
  });
  std::vector<Value> result;
  for (const std::size_t i : order) result.push_back(items[i]);
  return result;
}

Value sort_filter(const Value& value, Arguments& arguments, Work& work) {
  const bool reverse = arguments.take_flag("reverse", false);
  const bool case_sensitive = arguments.take_flag("case_sensitive", false);
  const Value attribute = arguments.take("attribute");
  std::vector<Value> items = all_of(value, work);
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(sort_key(item, attribute, case_sensitive, work));
  return list_of_kind(sorted(std::move(items), keys, reverse, work), Sequence::Kind::List, work);
}

Value dictsort_filter(const Value& value, Arguments& arguments, Work& work) {
  if (!value.is_dict()) work.fail("dictsort: {} is no dict", type_name(value));
  const bool case_sensitive = arguments.take_flag("case_sensitive", false);
  const std::string by = arguments.take_text("by", "key").bytes();
  const bool reverse = arguments.take_flag("reverse", false);
  if (by != "key" && by != "value") work.fail("dictsort: 'by' is '{}'; expected 'key' or 'value'", by);
  std::vector<Value> items, keys;
  for (const auto& [key, item] : value.as_dict().entries) {
    items.push_back(list_of_kind({key, item}, Sequence::Kind::Tuple, work));
    keys.push_back(sort_key(by == "key" ? key : item, {}, case_sensitive, work));
  }
  return list_of_kind(sorted(std::move(items), keys, reverse, work), Sequence::Kind::List, work);
}

Value unique_filter(const Value& value, Arguments& arguments, Work& work) {
  const bool case_sensitive = arguments.take_flag("case_sensitive", false);
  const Value attribute = arguments.take("attribute");
  std::vector<Value> items, keys;
  for (const Value& item : all_of(value, work)) {
    Value key = sort_key(item, attribute, case_sensitive, work);
    if (std::ranges::any_of(keys, [&](const Value& known) { return equal(known, key, work); })) continue;
    keys.push_back(std::move(key));
    items.push_back(item);
  }
  return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
}

Value extreme(const Value& value, Arguments& arguments, Work& work, bool largest) {
  const bool case_sensitive = arguments.take_flag("case_sensitive", false);
  const Value attribute = arguments.take("attribute");
  std::optional<Value> best, best_key;
  for (const Value& item : all_of(value, work)) {
    Value key = sort_key(item, attribute, case_sensitive, work);
    if (best && !(largest ? less(*best_key, key, work) : less(key, *best_key, work))) continue;
    best = item;
    best_key = std::move(key);
  }
  return best.value_or(Value::undefined("the best of nothing"));
}

/// select, reject, selectattr, rejectattr.
Value choose(const Value& value, Arguments& arguments, Work& work, bool keep, bool by_attribute) {
  const Value attribute = by_attribute ? arguments.take_required("attribute") : Value();
  const Value test = arguments.take("test");
  if (!test.is_undefined() && !test.is_text()) work.fail("{}: {} names no test", arguments.called(), type_name(test));
  if (test.is_text()) check_test(test.as_bytes(), work);
  const std::vector<Value> rest = arguments.take_rest();
  std::vector<Value> items;
  for (const Value& item : all_of(value, work)) {
    const Value tested = by_attribute ? attribute_path(item, attribute, work) : item;
    Arguments for_test(test.is_text() ? test.as_bytes() : "", rest, {}, work);
    const bool holds = test.is_text() ? apply_test(test.as_bytes(), tested, for_test, work) : is_true(tested);
    if (holds == keep) items.push_back(item);
  }
  return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
}

Value map_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value attribute = arguments.take_named("attribute");
  std::vector<Value> items;
  if (!attribute.is_undefined()) {
    const Value otherwise = arguments.take_named("default");
    for (const Value& item : all_of(value, work)) {
      const Value found = attribute_path(item, attribute, work);
      items.push_back(found.is_undefined() && !otherwise.is_undefined() ? otherwise : found);
    }
    return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
  }
  const std::string filter = arguments.take_text("filter", "").bytes();
  check_filter(filter, work);
  const Work::Level level(work);  // map('map', 'map', ...)
  const std::vector<Value> rest = arguments.take_rest();
  const auto named = arguments.take_rest_named();
  for (const Value& item : all_of(value, work)) {
    Arguments for_filter(filter, rest, named, work);
    items.push_back(apply_filter(filter, item, for_filter, work));
  }
  return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
}

Value join_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value separator = arguments.take("d");
  const Value attribute = arguments.take("attribute");
  const Text between = separator.is_undefined() ? Text() : text_of(separator, work);
  Text result;
  bool first = true;
  for (const Value& item : all_of(value, work)) {
    if (!first) append(result, between, work);
    first = false;
    append(result, text_of(attribute.is_undefined() ? item : attribute_path(item, attribute, work), work), work);
  }
  return make_text(std::move(result), work);
}

Value indent_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value width = arguments.take("width");
  const bool first = arguments.take_flag("first", false);
  const bool blank = arguments.take_flag("blank", false);
  Text indent;
  if (width.is_text()) {
    indent = width.as_text();
  } else {
    if (!width.is_undefined() && !width.is_integer()) work.fail("indent: the width is a {}", type_name(width));
    const std::int64_t spaces = width.is_undefined() ? 4 : width.as_integer();
    if (spaces > 10'000) work.fail("indent: {} spaces are too many", spaces);
    indent = Text(std::string(static_cast<std::size_t>(std::max<std::int64_t>(spaces, 0)), ' '));
  }
  Text text = text_of(value, work);
  text.add("\n");
  Text result = first ? indent : Text();
  bool begins = true;
  for (const std::string_view line : split_into_lines(text.bytes(), false, work)) {
    if (!begins) {
      result.add("\n");
      if (blank || !line.empty()) append(result, indent, work);
    }
    begins = false;
    append(result, text.part(line), work);
  }
  return make_text(std::move(result), work);
}

Value tojson_filter(const Value& value, Arguments& arguments, Work& work) {
  JsonOptions options;
  options.ascii = arguments.take_flag("ensure_ascii", false);
  const Value indent = arguments.take("indent");
  if (indent.is_integer()) {
    options.indents = true;
    const std::int64_t spaces = std::clamp<std::int64_t>(indent.as_integer(), 0, 100);
    options.indent = Text(std::string(static_cast<std::size_t>(spaces), ' '));
  } else if (indent.is_text()) {
    options.indents = true;
    options.indent = indent.as_text();
  } else if (!indent.is_undefined() && !indent.is<None>()) {
    work.fail("tojson: indent is a {}", type_name(indent));
  }
  if (options.indents) options.between = Text(",");
  const Value separators = arguments.take("separators");
  if (separators.is_sequence()) {
    const auto& items = separators.as_sequence().items;
    if (items.size() != 2 || !items[0].is_text() || !items[1].is_text())
      work.fail("tojson: separators are not two texts");
    options.between = items[0].as_text();
    options.behind_key = items[1].as_text();
  } else if (!separators.is_undefined() && !separators.is<None>()) {
    work.fail("tojson: separators are not two texts");
  }
  options.sort_keys = arguments.take_flag("sort_keys", false);
  return Value::text(json_of(value, options, work));
}

Value int_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value otherwise = arguments.take("default");
  const auto base = static_cast<int>(std::clamp<std::int64_t>(arguments.take_integer("base", 10), 2, 36));
  const auto from_real = [&](double real) -> std::optional<std::int64_t> {
    if (!std::isfinite(real)) return {};
    if (std::abs(real) >= 9.2e18) work.fail("int: {} does not fit 64 bits", real);
    return static_cast<std::int64_t>(real);
  };
  std::optional<std::int64_t> result;
  if (value.is_integer()) {
    result = value.as_integer();
  } else if (value.is<double>()) {
    result = from_real(value.get<double>());
  } else if (value.is_text()) {
    result = read_integer(value.as_bytes(), base);
    if (!result) {
      if (const auto real = read_real(value.as_bytes())) result = from_real(*real);
    }
  }
  if (result) return Value(*result);
  return otherwise.is_undefined() ? Value(std::int64_t{0}) : otherwise;
}

Value float_filter(const Value& value, Arguments& arguments, Work&) {
  const Value otherwise = arguments.take("default");
  if (value.is_number()) return Value(value.as_real());
  if (value.is_text()) {
    if (const auto real = read_real(value.as_bytes())) return Value(*real);
  }
  return otherwise.is_undefined() ? Value(0.0) : otherwise;
}

Value round_filter(const Value& value, Arguments& arguments, Work& work) {
  if (!value.is_number()) work.fail("round: {} is no number", type_name(value));
  const std::int64_t precision = arguments.take_integer("precision", 0);
  const std::string method = arguments.take_text("method", "common").bytes();
  if (precision < 0 || precision > 17) work.fail("round: a precision of {} is not supported", precision);
  if (method == "common") {
    if (value.is_integer()) return value;
    return Value(std::stod(fmt::format("{:.{}f}", value.as_real(), precision)));
  }
  if (method != "ceil" && method != "floor") work.fail("round: there is no method '{}'", method);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.as_real() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value abs_filter(const Value& value, Arguments&, Work& work) {
  if (value.is<double>()) return Value(std::abs(value.get<double>()));
  if (!value.is_integer()) work.fail("abs: {} is no number", type_name(value));
  return value.as_integer() < 0 ? negative(value, work) : Value(value.as_integer());
}

Value sum_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value attribute = arguments.take("attribute");
  const Value start = arguments.take("start");
  Value sum = start.is_undefined() ? Value(std::int64_t{0}) : start;
  for (const Value& item : all_of(value, work)) {
    const bool whole = attribute.is_undefined() || attribute.is<None>();
    sum = binary("+", sum, whole ? item : attribute_path(item, attribute, work), work);
  }
  return sum;
}

Value first_filter(const Value& value, Arguments&, Work& work) {
  if (value.is_sequence() && value.as_sequence().kind == Sequence::Kind::Iterator) {
    Sequence& sequence = value.as_sequence();
    if (sequence.next < sequence.items.size()) return sequence.items[sequence.next++];
    return Value::undefined("the first of nothing");
  }
  const std::vector<Value> items = all_of(value, work);
  return items.empty() ? Value::undefined("the first of nothing") : items.front();
}

Value last_filter(const Value& value, Arguments&, Work& work) {
  if (value.is_sequence() && value.as_sequence().kind == Sequence::Kind::Iterator) {
    work.fail("last: a generator has no end to begin from");
  }
  const std::vector<Value> items = all_of(value, work);
  return items.empty() ? Value::undefined("the last of nothing") : items.back();
}

Value reverse_filter(const Value& value, Arguments&, Work& work) {
  std::vector<Value> items = all_of(value, work);
  std::ranges::reverse(items);
  if (!value.is_text()) return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
  Text text;
  for (const Value& item : items) append(text, item.as_text(), work);
  return make_text(std::move(text), work);
}

Value items_filter(const Value& value, Arguments&, Work& work) {
  if (value.is_undefined()) return list_of_kind({}, Sequence::Kind::Iterator, work);
  if (!value.is_dict()) work.fail("items: {} is no dict", type_name(value));
  std::vector<Value> items;
  for (const auto& [key, item] : value.as_dict().entries) {
    items.push_back(list_of_kind({key, item}, Sequence::Kind::Tuple, work));
  }
  return list_of_kind(std::move(items), Sequence::Kind::Iterator, work);
}

Value default_filter(const Value& value, Arguments& arguments, Work&) {
  const bool given = arguments.has_next();
  Value otherwise = arguments.take("default_value");
  if (!given && otherwise.is_undefined()) otherwise = Value::own_text("");
  const bool boolean = arguments.take_flag("boolean", false);
  return value.is_undefined() || (boolean && !is_true(value)) ? otherwise : value;
}

/// The filter `title`, which begins words behind white space, "-" and brackets; str.title() does behind all but
/// letters.
Value title_filter(const Value& value, Arguments&, Work& work) {
  const Text text = text_of(value, work);
  std::string result, word;
  const auto end_word = [&] {
    if (!word.empty()) {
      const std::size_t first = word.size() - from_code_points(code_points(word).substr(1)).size();
      result += upper(word.substr(0, first), work) + lower(word.substr(first));
    }
    word.clear();
  };
  for (const char32_t code : code_points(text.bytes())) {
    const bool between =
        is_white_space(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
    if (between) end_word();
    (between ? result : word) += from_code_points(std::u32string(1, code));
  }
  end_word();
  return make_text(Text(std::move(result), text.has_given()), work);
}

Value replace_filter(const Value& value, Arguments& arguments, Work& work) {
  const Text from = text_of(arguments.take_required("old"), work);
  const Text to = text_of(arguments.take_required("new"), work);
  const Value count = arguments.take("count");
  const std::int64_t most = count.is_integer() ? count.as_integer() : -1;
  return Value::text(replace(text_of(value, work), from.bytes(), to, most, work));
}

Value trim_filter(const Value& value, Arguments& arguments, Work& work) {
  const Value characters = arguments.take("chars");
  const auto set = characters.is_text() ? std::optional(characters.as_bytes()) : std::nullopt;
  const Text text = text_of(value, work);
  if (set) work.charge_search(text.bytes(), *set);
  return make_text(text.part(strip(text.bytes(), set, Side::Both)), work);
}

Filter of_text(std::string (*change)(std::string_view, const Work&)) {
  return [change](const Value& value, Arguments&, Work& work) {
    const Text text = text_of(value, work);
    return make_text(Text(change(text.bytes(), work), text.has_given()), work);
  };
}

const std::map<std::string, Filter, std::less<>>& filters() {
  static const std::map<std::string, Filter, std::less<>> kFilters = {
      {"abs", abs_filter},
      {"capitalize", of_text(capitalize)},
      {"count", [](const Value& v, Arguments&, Work& work) { return Value(length_of(v, work)); }},
      {"d", default_filter},
      {"default", default_filter},
      {"dictsort", dictsort_filter},
      {"first", first_filter},
      {"float", float_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"items", items_filter},
      {"join", join_filter},
      {"last", last_filter},
      {"length", [](const Value& v, Arguments&, Work& work) { return Value(length_of(v, work)); }},
      {"list", [](const Value& v, Arguments&,
                  Work& work) { return list_of_kind(all_of(v, work), Sequence::Kind::List, work); }},
      {"lower", of_text([](std::string_view text, const Work&) { return lower(text); })},
      {"map", map_filter},
      {"max", [](const Value& v, Arguments& a, Work& work) { return extreme(v, a, work, true); }},
      {"min", [](const Value& v, Arguments& a, Work& work) { return extreme(v, a, work, false); }},
      {"reject", [](const Value& v, Arguments& a, Work& work) { return choose(v, a, work, false, false); }},
      {"rejectattr", [](const Value& v, Arguments& a, Work& work) { return choose(v, a, work, false, true); }},
      {"replace", replace_filter},
      {"reverse", reverse_filter},
      {"round", round_filter},
      {"safe", [](const Value& v, Arguments&, Work& work) { return make_text(text_of(v, work), work); }},
      {"select", [](const Value& v, Arguments& a, Work& work) { return choose(v, a, work, true, false); }},
      {"selectattr", [](const Value& v, Arguments& a, Work& work) { return choose(v, a, work, true, true); }},
      {"sort", sort_filter},
      {"string", [](const Value& v, Arguments&, Work& work) { return make_text(text_of(v, work), work); }},
      {"sum", sum_filter},
      {"title", title_filter},
      {"tojson", tojson_filter},
      {"trim", trim_filter},
      {"unique", unique_filter},
      {"upper", of_text(upper)},
  };
  return kFilters;
}

}  // namespace

void check_filter(const std::string& name, const Work& work) {
  if (filters().contains(name)) return;
  std::string known;
  for (const auto& [other, filter] : filters()) known += (known.empty() ? "" : ", ") + other;
  work.fail("the filter '{}' is not supported; heed has {}", name, known);
}

Value apply_filter(const std::string& name, const Value& value, Arguments& arguments, Work& work) {
  work.charge(1 + (value.is_text() ? value.as_text().size() / 16 : 0));
  Value result = filters().find(name)->second(value, arguments, work);
  arguments.finish();
  return result;
}

Value attribute_path(const Value& value, const Value& path, Work& work) {
  if (!path.is_text()) return item_of(value, path, work);
  Value at = value;
  for (const std::string_view part : split(path.as_bytes(), ".", -1, work)) {
    const auto place =
        part.find_first_not_of("0123456789") == std::string_view::npos ? read_integer(part) : std::nullopt;
    at = item_of(at, place ? Value(*place) : Value::own_text(std::string(part)), work);
  }
  return at;
}

}  // namespace heed::chat
