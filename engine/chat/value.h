#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "chat/text.h"
#include "chat/work.h"

namespace heed::chat {

class Value;
struct Statement;

struct Undefined {
  std::shared_ptr<const std::string> name;  // of what there is not, for messages
};
struct None {};

/// Values in a row. All but an Iterator never change, as in the sandbox that transformers runs templates in.
struct Sequence {
  enum class Kind : std::uint8_t {
    List,
    Tuple,
    Range,
    View,      // items(), keys(), values() of a dict: has a length, but no places
    Iterator,  // of filters such as map: gives each value once, and is true even where there is none
  };
  Kind kind = Kind::List;
  std::vector<Value> items;
  int depth = 1;         // of values within values, which bounds recursion
  std::size_t next = 0;  // of an Iterator
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in the order in which they were added, each key once
  int depth = 1;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

struct Loop;

/// Functions that every template has.
enum class Function : std::uint8_t { Range, Dict, Namespace, RaiseException, StrftimeNow };

/// A value of a template, as Python would have it. Namespaces and macros belong to the rendering.
class Value {
 public:
  using Data =
      std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<Sequence>,
                   std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<const Loop>, const Statement*, Function>;

  Value() = default;  // undefined
  Value(Data data) : data_(std::move(data)) {}
  static Value undefined(std::string name) {
    return Value(Undefined{std::make_shared<const std::string>(std::move(name))});
  }
  static Value none() { return Value(None{}); }
  static Value text(Text text) { return Value(std::make_shared<const Text>(std::move(text))); }
  /// A text of the template's own.
  static Value own_text(std::string text) { return Value::text(Text(std::move(text))); }

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <typename T>
  const T& get() const {
    return std::get<T>(data_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_text() const { return is<std::shared_ptr<const Text>>(); }
  bool is_sequence() const { return is<std::shared_ptr<Sequence>>(); }
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }
  bool is_number() const { return is<bool>() || is<std::int64_t>() || is<double>(); }
  bool is_integer() const { return is<bool>() || is<std::int64_t>(); }  // a bool is one, as in Python
  const Text& as_text() const { return *get<std::shared_ptr<const Text>>(); }
  const std::string& as_bytes() const { return as_text().bytes(); }
  Sequence& as_sequence() const { return *get<std::shared_ptr<Sequence>>(); }
  const Dict& as_dict() const { return *get<std::shared_ptr<const Dict>>(); }
  std::int64_t as_integer() const { return is<bool>() ? get<bool>() : get<std::int64_t>(); }
  double as_real() const { return is<double>() ? get<double>() : static_cast<double>(as_integer()); }
  int depth() const;

 private:
  Data data_;
};

/// A round of a for loop. Templates can keep one, and go through it again.
struct Loop {
  std::shared_ptr<const std::vector<Value>> items;
  std::size_t index = 0;
  int depth = 1;
};

/// What Python calls the type: "str", "list", ...
std::string_view type_name(const Value& value);
bool is_true(const Value& value);
/// ==, of what can be compared; throws Error for what nests too deep to be.
bool equal(const Value& left, const Value& right, Work& work);
/// Entry of a dict; nullptr where there is none. Throws Error for a key that Python cannot look up, a list for example.
const Value* find_entry(const Dict& dict, const Value& key, Work& work);

Value make_sequence(std::vector<Value> items, Sequence::Kind kind, Work& work);
/// Of entries whose keys may come twice: the last counts, in the place of the first.
Value make_dict(std::vector<std::pair<Value, Value>> entries, Work& work);
Value make_text(Text text, Work& work);
/// Adds to a text, which may have no end.
void append(Text& text, const Text& more, Work& work);

/// str(): what {{ value }} prints. repr(): the same, with texts in quotes.
Text text_of(const Value& value, Work& work);
Text repr_of(const Value& value, Work& work);

/// What json.dumps does.
struct JsonOptions {
  bool indents = false;
  Text indent;  // of one level
  Text between = Text(", ");
  Text behind_key = Text(": ");
  bool ascii = false;
  bool sort_keys = false;
};
Text json_of(const Value& value, const JsonOptions& options, Work& work);

/// Whether the texts of some JSON are given. Numbers and the like never are.
enum class Source : std::uint8_t { Own, Given };
/// A value of JSON, whose objects keep their order. Throws Error for integers beyond 64 bits and what nests too deep.
Value from_json(const nlohmann::ordered_json& json, Source source, Work& work);

}  // namespace heed::chat
