#include "chat/operators.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/python_text.h"
#include "tokenizer/utf8.h"

namespace heed::chat {
namespace {

[[noreturn]] void refuse(std::string_view op, const Value& left, const Value& right, const Work& work) {
  const auto shown = [](const Value& value) {
    return value.is_undefined() && value.get<Undefined>().name != nullptr
               ? fmt::format("'{}', which is undefined", *value.get<Undefined>().name)
               : std::string(type_name(value));
  };
  work.fail("'{}' is not for {} and {}", op, shown(left), shown(right));
}

std::int64_t integer_result(std::string_view op, std::int64_t a, std::int64_t b, const Work& work) {
  std::int64_t result = 0;
  bool overflows = false;
  if (op == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    result = 1;
    for (std::int64_t i = 0; i < b && !overflows; ++i) {
      if (i == 64 && (a == 0 || a == 1 || a == -1)) return b % 2 == 0 ? a * a : a;
      overflows = __builtin_mul_overflow(result, a, &result);
    }
  } else {
    if (b == 0) work.fail("{} {} 0 divides by zero", a, op);
    if (b == -1) {
      if (op == "%") return 0;
      overflows = __builtin_sub_overflow(std::int64_t{0}, a, &result);
    } else {
      const std::int64_t rest = a % b;
      const bool down = rest != 0 && (rest < 0) != (b < 0);  // Python rounds down, C++ towards 0
      result = op == "%" ? rest + (down ? b : 0) : a / b - (down ? 1 : 0);
    }
  }
  if (overflows) work.fail("{} {} {} does not fit 64 bits", a, op, b);
  return result;
}

double real_result(std::string_view op, double a, double b, const Work& work) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) work.fail("{} {} 0 divides by zero", a, op);
  if (op == "/") return a / b;
  const double rest = std::fmod(a, b);
  const bool down = rest != 0 && (rest < 0) != (b < 0);
  return op == "%" ? (down ? rest + b : rest) : std::floor(a / b);
}

std::size_t repeats(std::int64_t count, std::size_t size, const Work& work) {
  if (count <= 0 || size == 0) return 0;
  if (static_cast<std::uint64_t>(count) > Work::kMostBytes / size) {
    work.fail("{} repetitions of something of {} parts are too many", count, size);
  }
  return static_cast<std::size_t>(count);
}

/// A text or list times a number; undefined where it is none.
Value repeated(const Value& value, const Value& count, Work& work) {
  if (!count.is_integer()) return {};
  if (value.is_text()) {
    const Text& text = value.as_text();
    const std::size_t times = repeats(count.as_integer(), text.size(), work);
    work.charge_text(times * text.size(), times * text.given().size());
    Text result;
    for (std::size_t i = 0; i < times; ++i) result += text;
    return Value::text(std::move(result));
  }
  if (!value.is_sequence()) return {};
  const Sequence& sequence = value.as_sequence();
  if (sequence.kind != Sequence::Kind::List && sequence.kind != Sequence::Kind::Tuple) return {};
  const std::size_t times = repeats(count.as_integer(), sequence.items.size(), work);
  work.charge(times * sequence.items.size());
  std::vector<Value> items;
  for (std::size_t i = 0; i < times; ++i) items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return make_sequence(std::move(items), sequence.kind, work);
}

/// Where the character begins that `count` of them stand before, from the one at `at` on.
std::size_t behind_characters(std::string_view text, std::size_t at, std::int64_t count) {
  for (; count > 0; --count) at += scan_character(text, at).size;
  return at;
}

bool contains(const Value& container, const Value& value, Work& work) {
  if (container.is_text()) {
    if (!value.is_text()) refuse("in", value, container, work);
    work.charge_search(container.as_bytes(), value.as_bytes());
    return container.as_bytes().find(value.as_bytes()) != std::string::npos;
  }
  if (container.is_dict()) return find_entry(container.as_dict(), value, work) != nullptr;
  if (container.is_undefined()) return false;
  if (!container.is_sequence()) refuse("in", value, container, work);
  Sequence& sequence = container.as_sequence();
  const auto begin = sequence.items.begin() + static_cast<std::ptrdiff_t>(sequence.next);
  const auto found =
      std::find_if(begin, sequence.items.end(), [&](const Value& item) { return equal(item, value, work); });
  if (sequence.kind == Sequence::Kind::Iterator) {
    sequence.next = static_cast<std::size_t>(found - sequence.items.begin()) + (found == sequence.items.end() ? 0 : 1);
  }
  return found != sequence.items.end();
}

/// Where a slice begins and ends and how many it takes, as Python's slice.indices().
struct Places {
  std::int64_t start, step, count;
};
Places places_of(std::int64_t length, const Value& start, const Value& stop, const Value& step, const Work& work) {
  const auto given = [&](const Value& value) {
    if (value.is_undefined() || value.is<None>()) return false;
    if (!value.is_integer()) work.fail("a slice is told {} as a place; expected an int", type_name(value));
    return true;
  };
  const std::int64_t by = given(step) ? step.as_integer() : 1;
  if (by == 0) work.fail("a slice has the step 0");
  if (by < -INT32_MAX || by > INT32_MAX) work.fail("a slice has the step {}, which is out of range", by);
  const auto clamp = [&](const Value& value, std::int64_t otherwise) {
    if (!given(value)) return otherwise;
    std::int64_t place = value.as_integer();
    if (place < 0) place = std::max(place, -length - 1) + length;
    return by > 0 ? std::clamp<std::int64_t>(place, 0, length) : std::clamp<std::int64_t>(place, -1, length - 1);
  };
  const std::int64_t from = clamp(start, by > 0 ? 0 : length - 1);
  const std::int64_t to = clamp(stop, by > 0 ? length : -1);
  const std::int64_t distance = by > 0 ? to - from : from - to;
  return {from, by, distance <= 0 ? 0 : (distance - 1) / std::abs(by) + 1};
}

Value slice_of_text(const Text& text, const Value& start, const Value& stop, const Value& step, Work& work) {
  const std::string_view bytes = text.bytes();
  work.charge_text(text);
  const Places places = places_of(static_cast<std::int64_t>(count_characters(bytes)), start, stop, step, work);
  if (places.count == 0) return Value::own_text("");
  const std::int64_t at = places.step > 0 ? places.start : places.start + (places.count - 1) * places.step;
  std::size_t begin = behind_characters(bytes, 0, at);
  if (places.step == 1) {
    return make_text(text.part(bytes.substr(begin, behind_characters(bytes, begin, places.count) - begin)), work);
  }
  work.charge(static_cast<std::uint64_t>(places.count));
  std::vector<std::string_view> picked;
  for (std::int64_t i = 0; i < places.count; ++i) {
    if (i > 0) begin = behind_characters(bytes, begin, std::abs(places.step));
    picked.push_back(bytes.substr(begin, scan_character(bytes, begin).size));
  }
  if (places.step < 0) std::ranges::reverse(picked);
  Text result;
  for (const std::string_view character : picked) result += text.part(character);
  return make_text(std::move(result), work);
}

}  // namespace

Value binary(std::string_view op, const Value& left, const Value& right, Work& work) {
  if (left.is_number() && right.is_number()) {
    const bool integers = left.is_integer() && right.is_integer() && op != "/";
    if (integers && !(op == "**" && right.as_integer() < 0)) {
      return Value(integer_result(op, left.as_integer(), right.as_integer(), work));
    }
    return Value(real_result(op, left.as_real(), right.as_real(), work));
  }
  if (op == "+" && left.is_text() && right.is_text()) {
    Text sum;
    append(sum, left.as_text(), work);
    append(sum, right.as_text(), work);
    return make_text(std::move(sum), work);
  }
  if (op == "+" && left.is_sequence() && right.is_sequence()) {
    const Sequence& a = left.as_sequence();
    const Sequence& b = right.as_sequence();
    if (a.kind == b.kind && (a.kind == Sequence::Kind::List || a.kind == Sequence::Kind::Tuple)) {
      work.charge(a.items.size() + b.items.size());
      std::vector<Value> items = a.items;
      items.insert(items.end(), b.items.begin(), b.items.end());
      return make_sequence(std::move(items), a.kind, work);
    }
  }
  if (op == "*") {
    Value result = repeated(left, right, work);
    if (result.is_undefined()) result = repeated(right, left, work);
    if (!result.is_undefined()) return result;
  }
  refuse(op, left, right, work);
}

bool less(const Value& left, const Value& right, Work& work) {
  work.charge(1);
  if (left.is_integer() && right.is_integer()) return left.as_integer() < right.as_integer();
  if (left.is_number() && right.is_number()) return left.as_real() < right.as_real();
  if (left.is_text() && right.is_text()) {
    work.charge_comparison(left.as_bytes(), right.as_bytes());
    return left.as_bytes() < right.as_bytes();  // UTF-8 keeps the order
  }
  if (left.is_sequence() && right.is_sequence() && left.as_sequence().kind == right.as_sequence().kind) {
    const auto& a = left.as_sequence().items;
    const auto& b = right.as_sequence().items;
    const auto differs = std::mismatch(a.begin(), a.end(), b.begin(), b.end(),
                                       [&](const Value& x, const Value& y) { return equal(x, y, work); });
    if (differs.first == a.end() || differs.second == b.end())
      return differs.first == a.end() && differs.second != b.end();
    return less(*differs.first, *differs.second, work);
  }
  refuse("<", left, right, work);
}

bool compare(std::string_view op, const Value& left, const Value& right, Work& work) {
  if (op == "==") return equal(left, right, work);
  if (op == "!=") return !equal(left, right, work);
  if (op == "in") return contains(right, left, work);
  if (op == "not in") return !contains(right, left, work);
  const bool unordered =
      left.is_number() && right.is_number() && (std::isnan(left.as_real()) || std::isnan(right.as_real()));
  if (unordered) return false;
  if (op == "<") return less(left, right, work);
  if (op == ">") return less(right, left, work);
  return op == "<=" ? !less(right, left, work) : !less(left, right, work);
}

Value negative(const Value& value, Work& work) {
  if (value.is_integer()) return Value(integer_result("-", 0, value.as_integer(), work));
  if (!value.is<double>()) work.fail("'-' is not for {}", type_name(value));
  return Value(-value.get<double>());
}

std::vector<Value> all_of(const Value& value, Work& work) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (value.is_text()) {
    const std::string_view text = value.as_bytes();
    work.charge(count_characters(text));
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = scan_character(text, at).size;
      items.push_back(Value::text(value.as_text().part(text.substr(at, size))));
      at += size;
    }
  } else if (value.is_dict()) {
    for (const auto& [key, item] : value.as_dict().entries) items.push_back(key);
  } else if (value.is_sequence()) {
    Sequence& sequence = value.as_sequence();
    items.assign(sequence.items.begin() + static_cast<std::ptrdiff_t>(sequence.next), sequence.items.end());
    if (sequence.kind == Sequence::Kind::Iterator) sequence.next = sequence.items.size();
  } else {
    work.fail("a {} is no list: there is nothing in it to go through", type_name(value));
  }
  work.charge(items.size());
  return items;
}

std::int64_t length_of(const Value& value, Work& work) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<std::int64_t>(count_characters(value.as_bytes()));
  if (value.is_dict()) return static_cast<std::int64_t>(value.as_dict().entries.size());
  if (value.is_sequence() && value.as_sequence().kind != Sequence::Kind::Iterator) {
    return static_cast<std::int64_t>(value.as_sequence().items.size());
  }
  work.fail("a {} has no length", type_name(value));
}

Value item_of(const Value& value, const Value& place, Work& work) {
  if (value.is_undefined()) {
    const auto& name = value.get<Undefined>().name;
    work.fail("'{}' is undefined, and nothing can be taken from it", name == nullptr ? "a value" : *name);
  }
  if (value.is_dict()) {
    const Value* entry = find_entry(value.as_dict(), place, work);
    if (entry != nullptr) return *entry;
    return Value::undefined(text_of(place, work).bytes().substr(0, 100));
  }
  if (!place.is_integer())
    return place.is_text() ? attribute_of(value, place.as_bytes(), work) : Value::undefined("place");
  std::int64_t at = place.as_integer();
  if (value.is_text()) {
    const std::string_view text = value.as_bytes();
    work.charge(text.size() / 16);
    const auto size = static_cast<std::int64_t>(count_characters(text));
    if (at < 0) at += size;
    if (at < 0 || at >= size) return Value::undefined(std::to_string(place.as_integer()));
    const std::size_t begin = behind_characters(text, 0, at);
    return Value::text(value.as_text().part(text.substr(begin, scan_character(text, begin).size)));
  }
  if (value.is_sequence() && value.as_sequence().kind <= Sequence::Kind::Range) {
    const auto& items = value.as_sequence().items;
    const auto size = static_cast<std::int64_t>(items.size());
    if (at < 0) at += size;
    if (at >= 0 && at < size) return items[static_cast<std::size_t>(at)];
  }
  return Value::undefined(std::to_string(place.as_integer()));
}

Value attribute_of(const Value& value, const std::string& name, Work& work) {
  if (name.starts_with('_')) work.fail("the attribute '{}' is not supported", name);
  if (value.is_undefined()) item_of(value, Value::own_text(name), work);  // throws
  if (value.is_dict()) {
    const Value* entry = find_entry(value.as_dict(), Value::own_text(name), work);
    return entry != nullptr ? *entry : Value::undefined(name);
  }
  if (value.is<Namespace*>()) {
    work.charge(value.get<Namespace*>()->attributes.size() / 8);
    for (const auto& [known, attribute] : value.get<Namespace*>()->attributes) {
      if (known == name) return attribute;
    }
    return Value::undefined(name);
  }
  if (!value.is<std::shared_ptr<const Loop>>()) return Value::undefined(name);
  const Loop& loop = *value.get<std::shared_ptr<const Loop>>();
  const auto count = static_cast<std::int64_t>(loop.items->size());
  const auto index = static_cast<std::int64_t>(loop.index);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(count - index);
  if (name == "revindex0") return Value(count - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == count);
  if (name == "length") return Value(count);
  if (name == "depth") return Value(std::int64_t{1});  // it counts recursive loops
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem") return index > 0 ? (*loop.items)[loop.index - 1] : Value::undefined("loop.previtem");
  if (name == "nextitem") return index + 1 < count ? (*loop.items)[loop.index + 1] : Value::undefined("loop.nextitem");
  work.fail("'loop.{}' is not supported", name);
}

Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Work& work) {
  if (value.is_text()) return slice_of_text(value.as_text(), start, stop, step, work);
  if (value.is_sequence() && value.as_sequence().kind <= Sequence::Kind::Range) {
    const std::vector<Value>& items = value.as_sequence().items;
    const Places places = places_of(static_cast<std::int64_t>(items.size()), start, stop, step, work);
    std::vector<Value> picked;
    for (std::int64_t i = 0; i < places.count; ++i) {
      picked.push_back(items[static_cast<std::size_t>(places.start + i * places.step)]);
    }
    return make_sequence(std::move(picked), value.as_sequence().kind, work);
  }
  if (value.is_undefined()) item_of(value, start, work);  // throws
  return Value::undefined("slice");                       // as Jinja has it of a dict
}

std::optional<std::int64_t> read_integer(std::string_view text, int base) {
  const std::string_view trimmed = strip(text, std::nullopt, Side::Both);
  std::string_view digits = trimmed;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size() || trimmed.starts_with("+-")) return {};
  return value;
}

std::optional<double> read_real(std::string_view text) {
  const std::string_view trimmed = strip(text, std::nullopt, Side::Both);
  std::string_view digits = trimmed;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || trimmed.starts_with("+-")) return {};
  return value;
}

}  // namespace heed::chat
