#include "chat/value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "chat/python_text.h"

namespace heed::chat {
namespace {

constexpr int kDeepestValue = 100;

int checked_depth(int inner, const Work& work) {
  if (inner >= kDeepestValue) work.fail("lists and dicts nest deeper than {} levels", kDeepestValue);
  return inner + 1;
}

std::string text_of_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

bool same_text(const Value& left, const Value& right, Work& work) {
  if (left.as_text().size() != right.as_text().size()) return false;
  work.charge_comparison(left.as_bytes(), right.as_bytes());
  return left.as_bytes() == right.as_bytes();
}

bool is_hashable(const Value& key) {
  return !key.is_dict() && (!key.is_sequence() || key.as_sequence().kind == Sequence::Kind::Tuple);
}

}  // namespace

int Value::depth() const {
  if (is_sequence()) return as_sequence().depth;
  if (is<std::shared_ptr<const Loop>>()) return get<std::shared_ptr<const Loop>>()->depth;
  return is_dict() ? as_dict().depth : 0;
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "undefined";
  if (value.is<None>()) return "None";
  if (value.is<bool>()) return "bool";
  if (value.is<std::int64_t>()) return "int";
  if (value.is<double>()) return "float";
  if (value.is_text()) return "str";
  if (value.is_dict()) return "dict";
  if (value.is<Namespace*>()) return "namespace";
  if (value.is<std::shared_ptr<const Loop>>()) return "loop";
  if (value.is<const Statement*>()) return "macro";
  if (value.is<Function>()) return "function";
  switch (value.as_sequence().kind) {
    case Sequence::Kind::List:
      return "list";
    case Sequence::Kind::Tuple:
      return "tuple";
    case Sequence::Kind::Range:
      return "range";
    case Sequence::Kind::View:
      return "view of a dict";
    case Sequence::Kind::Iterator:
      return "generator";
  }
  return "sequence";
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is<None>()) return false;
  if (value.is_number()) return value.as_real() != 0;
  if (value.is_text()) return !value.as_text().empty();
  if (value.is_dict()) return !value.as_dict().entries.empty();
  if (value.is_sequence()) {
    return value.as_sequence().kind == Sequence::Kind::Iterator || !value.as_sequence().items.empty();
  }
  return true;
}

bool equal(const Value& left, const Value& right, Work& work) {
  work.charge(1);
  if (left.is_number() && right.is_number()) {
    if (left.is_integer() && right.is_integer()) return left.as_integer() == right.as_integer();
    return left.as_real() == right.as_real();
  }
  if (left.is_text() && right.is_text()) return same_text(left, right, work);
  if (left.is_sequence() && right.is_sequence()) {
    const Sequence& a = left.as_sequence();
    const Sequence& b = right.as_sequence();
    if (&a == &b) return true;
    if (a.kind != b.kind || a.kind == Sequence::Kind::Iterator || a.kind == Sequence::Kind::View) return false;
    return std::ranges::equal(a.items, b.items, [&](const Value& x, const Value& y) { return equal(x, y, work); });
  }
  if (left.is_dict() && right.is_dict()) {
    const Dict& a = left.as_dict();
    const Dict& b = right.as_dict();
    if (a.entries.size() != b.entries.size()) return false;
    return std::ranges::all_of(a.entries, [&](const auto& entry) {
      const Value* other = find_entry(b, entry.first, work);
      return other != nullptr && equal(entry.second, *other, work);
    });
  }
  if (left.is<Namespace*>() && right.is<Namespace*>()) return left.get<Namespace*>() == right.get<Namespace*>();
  return (left.is<None>() && right.is<None>()) || (left.is_undefined() && right.is_undefined());
}

const Value* find_entry(const Dict& dict, const Value& key, Work& work) {
  if (!is_hashable(key)) work.fail("a {} cannot be a key of a dict", type_name(key));
  work.charge(dict.entries.size() / 8);
  const auto found = std::ranges::find_if(dict.entries, [&](const auto& entry) {
    // By far the most keys are texts; what follows them is counted.
    if (entry.first.is_text() && key.is_text()) return same_text(entry.first, key, work);
    return equal(entry.first, key, work);
  });
  return found == dict.entries.end() ? nullptr : &found->second;
}

Value make_sequence(std::vector<Value> items, Sequence::Kind kind, Work& work) {
  work.charge(items.size() + 1);
  Sequence sequence{kind, std::move(items), 1, 0};
  for (const Value& item : sequence.items) {
    sequence.depth = std::max(sequence.depth, checked_depth(item.depth(), work));
  }
  return Value(std::make_shared<Sequence>(std::move(sequence)));
}

Value make_dict(std::vector<std::pair<Value, Value>> entries, Work& work) {
  work.charge(entries.size() + 1);
  Dict dict;
  for (auto& [key, value] : entries) {
    dict.depth = std::max({dict.depth, checked_depth(key.depth(), work), checked_depth(value.depth(), work)});
    if (const Value* known = find_entry(dict, key, work); known != nullptr) {
      const_cast<Value&>(*known) = std::move(value);
    } else {
      dict.entries.emplace_back(std::move(key), std::move(value));
    }
  }
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

Value make_text(Text text, Work& work) {
  work.charge_text(text);
  return Value::text(std::move(text));
}

void append(Text& text, const Text& more, Work& work) {
  work.charge(more.given().size());
  if (text.size() + more.size() > Work::kMostBytes) work.charge_text(text.size() + more.size());
  text += more;
}

Text text_of(const Value& value, Work& work) {
  if (value.is_undefined()) return {};
  if (value.is_text()) return value.as_text();
  return repr_of(value, work);
}

Text repr_of(const Value& value, Work& work) {
  work.charge(1);
  if (value.is_undefined()) return Text("Undefined");
  if (value.is<None>()) return Text("None");
  if (value.is<bool>()) return Text(value.get<bool>() ? "True" : "False");
  if (value.is<std::int64_t>()) return Text(std::to_string(value.get<std::int64_t>()));
  if (value.is<double>()) return Text(text_of_real(value.get<double>()));
  if (value.is_text()) {
    Text text = quoted_as_python(value.as_text());
    work.charge_text(text);
    return text;
  }
  Text text;
  if (value.is_dict()) {
    for (const auto& [key, item] : value.as_dict().entries) {
      text.add(text.empty() ? "{" : ", ");
      append(text, repr_of(key, work), work);
      text.add(": ");
      append(text, repr_of(item, work), work);
    }
    text.add(text.empty() ? "{}" : "}");
    return text;
  }
  const bool tuple = value.is_sequence() && value.as_sequence().kind == Sequence::Kind::Tuple;
  if (!tuple && !(value.is_sequence() && value.as_sequence().kind == Sequence::Kind::List)) {
    work.fail("a {} is made a text; that is not supported", type_name(value));
  }
  const std::vector<Value>& items = value.as_sequence().items;
  for (const Value& item : items) {
    text.add(text.empty() ? (tuple ? "(" : "[") : ", ");
    append(text, repr_of(item, work), work);
  }
  if (items.empty()) return Text(tuple ? "()" : "[]");
  text.add(tuple ? (items.size() == 1 ? ",)" : ")") : "]");
  return text;
}

Value from_json(const nlohmann::ordered_json& json, Source source, Work& work) {
  const Work::Level level(work);
  work.charge(1);
  const bool given = source == Source::Given;
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::null:
      return Value::none();
    case nlohmann::ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > INT64_MAX) break;
      [[fallthrough]];
    case nlohmann::ordered_json::value_t::number_integer:
      return Value(json.get<std::int64_t>());
    case nlohmann::ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return make_text(Text(json.get<std::string>(), given), work);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(from_json(item, source, work));
      return make_sequence(std::move(items), Sequence::Kind::List, work);
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(make_text(Text(key, given), work), from_json(item, source, work));
      }
      return make_dict(std::move(entries), work);
    }
    default:
      break;
  }
  work.fail("the number {} does not fit 64 bits", json.dump());
}

}  // namespace heed::chat
