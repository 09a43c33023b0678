#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/value.h"

// What templates can call: filters, tests, and the methods of texts, lists and dicts.
namespace heed::chat {

/// The arguments of a call, taken one after the other by place or by name.
class Arguments {
 public:
  Arguments(std::string_view called, std::vector<Value> values, std::vector<std::pair<std::string, Value>> named,
            Work& work)
      : called_(called), values_(std::move(values)), named_(std::move(named)), work_(work) {}

  /// The next one; undefined where it is not given.
  Value take(std::string_view name);
  /// The next one, if it is given by place.
  bool has_next() const { return next_ < values_.size(); }
  Text take_text(std::string_view name, std::string_view otherwise);
  std::int64_t take_integer(std::string_view name, std::int64_t otherwise);
  bool take_flag(std::string_view name, bool otherwise);
  /// By name alone.
  Value take_named(std::string_view name);
  /// All that are left by place.
  std::vector<Value> take_rest();
  std::vector<std::pair<std::string, Value>> take_rest_named() { return std::move(named_); }
  /// Throws Error where something was given that nobody took.
  void finish();
  /// Throws Error where what must be given is not.
  Value take_required(std::string_view name);

  const std::string& called() const { return called_; }

 private:
  std::string called_;
  std::vector<Value> values_;
  std::vector<std::pair<std::string, Value>> named_;
  std::size_t next_ = 0;
  Work& work_;
};

/// value | name(arguments). Throws Error.
Value apply_filter(const std::string& name, const Value& value, Arguments& arguments, Work& work);
/// value is name(arguments).
bool apply_test(const std::string& name, const Value& value, Arguments& arguments, Work& work);
/// Throw Error where heed has no such filter or test.
void check_filter(const std::string& name, const Work& work);
void check_test(const std::string& name, const Work& work);

/// Whether the value's type has this method in Python, supported or not.
bool is_method(const Value& value, const std::string& name);
/// value.name(arguments). Throws Error for a method that is not supported.
Value call_method(const Value& value, const std::string& name, Arguments& arguments, Work& work);

/// The attribute that filters such as map and selectattr name: "a.b", or a place.
Value attribute_path(const Value& value, const Value& path, Work& work);

}  // namespace heed::chat
