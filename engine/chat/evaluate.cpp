#include <algorithm>
#include <ctime>

#include "chat/operators.h"
#include "chat/rendering.h"

namespace heed::chat {

std::vector<Value> Rendering::values_of(const std::vector<ExpressionPtr>& parts, std::size_t from, const Scope& scope) {
  std::vector<Value> values;
  for (std::size_t i = from; i < parts.size(); ++i) values.push_back(value_of(*parts[i], scope));
  return values;
}

Value Rendering::value_of(const Expression& expression, const Scope& scope) {
  using Kind = Expression::Kind;
  const Work::Level level(work_);
  work_.charge(1);
  work_.line = expression.line;
  const auto part = [&](std::size_t i) { return value_of(*expression.parts[i], scope); };
  const auto part_if_any = [&](std::size_t i) { return expression.parts[i] == nullptr ? Value() : part(i); };
  switch (expression.kind) {
    case Kind::Constant:
      return expression.constant;
    case Kind::Name:
      return name_of(expression, scope);
    case Kind::List:
      return make_sequence(values_of(expression.parts, 0, scope), Sequence::Kind::List, work_);
    case Kind::Tuple:
      return make_sequence(values_of(expression.parts, 0, scope), Sequence::Kind::Tuple, work_);
    case Kind::Dict:
      return dict_of(expression, scope);
    case Kind::Attribute:
      return attribute_value(expression, scope);
    case Kind::Item:
      return item_of(part(0), part(1), work_);
    case Kind::Slice:
      return slice_of(part(0), part_if_any(1), part_if_any(2), part_if_any(3), work_);
    case Kind::Call:
      return call(expression, scope);
    case Kind::Filter:
      return filter(expression, scope, nullptr);
    case Kind::Test: {
      const Value tested = part(0);
      Arguments arguments = arguments_of(expression, scope, expression.text);
      return Value(apply_test(expression.text, tested, arguments, work_));
    }
    case Kind::Not:
      return Value(!is_true(part(0)));
    case Kind::Negative:
      return negative(part(0), work_);
    case Kind::Positive: {
      const Value value = part(0);
      if (!value.is_number()) work_.fail("'+' is not for {}", type_name(value));
      return value;
    }
    case Kind::And: {
      const Value left = part(0);
      return is_true(left) ? part(1) : left;
    }
    case Kind::Or: {
      const Value left = part(0);
      return is_true(left) ? left : part(1);
    }
    case Kind::Concat: {
      Text text;
      for (const Value& value : values_of(expression.parts, 0, scope)) append(text, text_of(value, work_), work_);
      return make_text(std::move(text), work_);
    }
    case Kind::Compare:
      return compare_all(expression, scope);
    case Kind::Binary: {
      const Value left = part(0);
      return binary(expression.text, left, part(1), work_);
    }
    case Kind::Condition:
      if (is_true(part(1))) return part(0);
      return expression.parts[2] != nullptr ? part(2) : Value::undefined("the value of an 'if' without 'else'");
  }
  return {};
}

Value Rendering::name_of(const Expression& expression, const Scope& scope) {
  const std::string& name = expression.text;
  for (const Scope* at = &scope; at != nullptr; at = at->outer) {
    work_.charge(at->variables.size() / 8);
    for (const auto& [known, value] : at->variables) {
      if (known == name) return value;
    }
  }
  if (name == "range") return Value(Function::Range);
  if (name == "dict") return Value(Function::Dict);
  if (name == "namespace") return Value(Function::Namespace);
  if (name == "raise_exception") return Value(Function::RaiseException);
  if (name == "strftime_now") return Value(Function::StrftimeNow);
  for (const char* other : {"varargs", "kwargs", "caller", "cycler", "joiner", "lipsum", "self"}) {
    if (name == other) work_.fail("'{}' is not supported", name);
  }
  return Value::undefined(name);
}

Value Rendering::attribute_value(const Expression& expression, const Scope& scope) {
  const Value value = value_of(*expression.parts[0], scope);
  work_.line = expression.line;
  if (is_method(value, expression.text)) work_.fail("the method '{}' is not called", expression.text);
  return attribute_of(value, expression.text, work_);
}

Value Rendering::compare_all(const Expression& expression, const Scope& scope) {
  Value left = value_of(*expression.parts[0], scope);
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = value_of(*expression.parts[i + 1], scope);
    if (!compare(expression.operators[i], left, right, work_)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Rendering::dict_of(const Expression& expression, const Scope& scope) {
  std::vector<std::pair<Value, Value>> entries;
  for (std::size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
    Value key = value_of(*expression.parts[i], scope);
    entries.emplace_back(std::move(key), value_of(*expression.parts[i + 1], scope));
  }
  return make_dict(std::move(entries), work_);
}

Arguments Rendering::arguments_of(const Expression& expression, const Scope& scope, std::string_view called) {
  std::vector<Value> values = values_of(expression.parts, 1, scope);
  std::vector<std::pair<std::string, Value>> named;
  for (const auto& [name, value] : expression.named) named.emplace_back(name, value_of(*value, scope));
  work_.line = expression.line;
  return Arguments(called, std::move(values), std::move(named), work_);
}

Value Rendering::filter(const Expression& expression, const Scope& scope, const Text* subject) {
  // {% filter a | b %} and {% set x | a %} filter what was printed, which stands for the innermost subject.
  const Expression* inner = expression.parts[0].get();
  const Value value = inner == nullptr     ? make_text(*subject, work_)
                      : subject != nullptr ? filter(*inner, scope, subject)
                                           : value_of(*inner, scope);
  Arguments arguments = arguments_of(expression, scope, expression.text);
  return apply_filter(expression.text, value, arguments, work_);
}

Value Rendering::call(const Expression& expression, const Scope& scope) {
  const Expression& callee = *expression.parts[0];
  if (callee.kind == Expression::Kind::Attribute) {
    const Value object = value_of(*callee.parts[0], scope);
    if (is_method(object, callee.text)) {
      Arguments arguments = arguments_of(expression, scope, callee.text);
      return call_method(object, callee.text, arguments, work_);
    }
    const Value value = attribute_of(object, callee.text, work_);
    if (!value.is<const Statement*>()) {
      work_.fail("'{}' is called, but a {} has no such method that is supported", callee.text, type_name(object));
    }
    Arguments arguments = arguments_of(expression, scope, callee.text);
    return call_macro(*value.get<const Statement*>(), arguments);
  }
  const Value function = value_of(callee, scope);
  Arguments arguments = arguments_of(expression, scope, callee.text);
  if (function.is<Function>()) return call_function(function.get<Function>(), arguments);
  if (!function.is<const Statement*>()) {
    work_.fail("'{}' is called, but it is {}", callee.text,
               function.is_undefined() ? "undefined" : type_name(function));
  }
  return call_macro(*function.get<const Statement*>(), arguments);
}

Value Rendering::call_macro(const Statement& macro, Arguments& arguments) {
  const Work::Level level(work_);
  Scope scope{&root_, {}};
  for (const Parameter& parameter : macro.parameters) {
    const bool given = arguments.has_next();
    Value value = arguments.take(parameter.name);
    if (!given && value.is_undefined()) {
      value = parameter.otherwise != nullptr ? value_of(*parameter.otherwise, scope) : Value::undefined(parameter.name);
    }
    scope.variables.emplace_back(parameter.name, std::move(value));
  }
  arguments.finish();
  const int line = work_.line;
  Value result = make_text(captured(macro.body, scope), work_);
  work_.line = line;
  return result;
}

Value Rendering::call_function(Function function, Arguments& arguments) {
  Value result;
  switch (function) {
    case Function::Range:
      result = range(arguments);
      break;
    case Function::Dict: {
      std::vector<std::pair<Value, Value>> entries;
      if (arguments.has_next()) {
        const Value from = arguments.take("mapping");
        if (!from.is_dict()) work_.fail("dict: a {} is given, expected a dict", type_name(from));
        entries = from.as_dict().entries;
      }
      for (auto& [name, value] : arguments.take_rest_named())
        entries.emplace_back(Value::own_text(name), std::move(value));
      result = make_dict(std::move(entries), work_);
      break;
    }
    case Function::Namespace: {
      Namespace& space = namespaces_.emplace_back();
      if (arguments.has_next()) {
        const Value from = arguments.take("mapping");
        if (!from.is_dict()) work_.fail("namespace: a {} is given, expected a dict", type_name(from));
        for (const auto& [key, value] : from.as_dict().entries)
          space.attributes.emplace_back(text_of(key, work_).bytes(), value);
      }
      for (auto& [name, value] : arguments.take_rest_named()) {
        work_.charge(space.attributes.size() / 8);
        std::erase_if(space.attributes, [&key = name](const auto& entry) { return entry.first == key; });
        space.attributes.emplace_back(name, std::move(value));
      }
      result = Value(&space);
      break;
    }
    case Function::RaiseException: {
      const std::string message = text_of(arguments.take("message"), work_).bytes();
      throw Refused(
          fmt::format("the model's chat template (line {}) does not take this chat: {}", work_.line, message));
    }
    case Function::StrftimeNow:
      result = format_time(arguments.take_text("format", ""));
      break;
  }
  arguments.finish();
  return result;
}

Value Rendering::range(Arguments& arguments) {
  constexpr std::int64_t kLongest = 100'000;  // as Jinja's sandbox has it
  std::int64_t start = 0;
  std::int64_t stop = arguments.take_integer("start", 0);
  if (arguments.has_next()) {
    start = stop;
    stop = arguments.take_integer("stop", 0);
  }
  const std::int64_t step = arguments.take_integer("step", 1);
  if (step == 0) work_.fail("range: the step is 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kLongest) work_.fail("range: more than {} values", kLongest);
    items.emplace_back(Value(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_sequence(std::move(items), Sequence::Kind::Range, work_);
}

Value Rendering::format_time(const Text& given) {
  const std::string& format = given.bytes();
  if (format.size() > 1000) work_.fail("strftime_now: a format of {} bytes is too long", format.size());
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now_);
  std::tm local = {};
  localtime_r(&seconds, &local);
  // What Python adds to the C library, of a time without a zone.
  std::string plain;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char letter = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (letter == 'z' || letter == 'Z') {
      ++i;
    } else if (letter == 'f') {
      work_.fail("strftime_now: %f is not supported");
    } else {
      plain += format[i];
      if (letter != '\0') plain += format[++i];
    }
  }
  if (plain.empty()) return Value::own_text("");
  char text[8192];
  const std::size_t size = std::strftime(text, sizeof text, plain.c_str(), &local);
  return make_text(Text(std::string(text, size), given.has_given()), work_);
}

}  // namespace heed::chat
