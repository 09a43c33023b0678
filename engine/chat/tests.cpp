#include <functional>
#include <map>

#include "chat/library.h"
#include "chat/operators.h"
#include "chat/python_text.h"

namespace heed::chat {
namespace {

using Test = std::function<bool(const Value&, Arguments&, Work&)>;

Test comparison(const char* op) {
  return [op](const Value& value, Arguments& arguments, Work& work) {
    return compare(op, value, arguments.take_required("other"), work);
  };
}

Test remainder(std::int64_t divisor, std::int64_t rest) {
  return [divisor, rest](const Value& value, Arguments&, Work& work) {
    return equal(binary("%", value, Value(divisor), work), Value(rest), work);
  };
}

template <typename Is>
Test kind(Is is) {
  return [is](const Value& value, Arguments&, Work&) { return is(value); };
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_text() || value.is_dict() || value.is_sequence();
}

/// What has a length and places, as Jinja has it: dicts do.
bool is_like_sequence(const Value& value) {
  if (!is_iterable(value)) return false;
  return !value.is_sequence() || value.as_sequence().kind <= Sequence::Kind::Range;
}

bool is_same(const Value& value, Arguments& arguments, Work& work) {
  const Value other = arguments.take_required("other");
  const bool single = value.is<bool>() || value.is<None>() || other.is<bool>() || other.is<None>();
  if (!single) work.fail("sameas: only true, false and none can be compared so");
  if (value.is<bool>() && other.is<bool>()) return value.get<bool>() == other.get<bool>();
  return value.is<None>() && other.is<None>();
}

const std::map<std::string, Test, std::less<>>& tests() {
  static const std::map<std::string, Test, std::less<>> kTests = {
      {"boolean", kind([](const Value& v) { return v.is<bool>(); })},
      {"callable",
       kind([](const Value& v) { return v.is_undefined() || v.is<const Statement*>() || v.is<Function>(); })},
      {"defined", kind([](const Value& v) { return !v.is_undefined(); })},
      {"divisibleby",
       [](const Value& value, Arguments& arguments, Work& work) {
         return equal(binary("%", value, arguments.take_required("num"), work), Value(std::int64_t{0}), work);
       }},
      {"eq", comparison("==")},
      {"equalto", comparison("==")},
      {"even", remainder(2, 0)},
      {"false", kind([](const Value& v) { return v.is<bool>() && !v.get<bool>(); })},
      {"float", kind([](const Value& v) { return v.is<double>(); })},
      {"ge", comparison(">=")},
      {"greaterthan", comparison(">")},
      {"gt", comparison(">")},
      {"in", comparison("in")},
      {"integer", kind([](const Value& v) { return v.is<std::int64_t>(); })},
      {"iterable", kind(is_iterable)},
      {"le", comparison("<=")},
      {"lessthan", comparison("<")},
      {"lower",
       [](const Value& v, Arguments&, Work& work) { return all_are(text_of(v, work).bytes(), CharacterClass::Lower); }},
      {"lt", comparison("<")},
      {"mapping", kind([](const Value& v) { return v.is_dict(); })},
      {"ne", comparison("!=")},
      {"none", kind([](const Value& v) { return v.is<None>(); })},
      {"number", kind([](const Value& v) { return v.is_number(); })},
      {"odd", remainder(2, 1)},
      {"sameas", is_same},
      {"sequence", kind(is_like_sequence)},
      {"string", kind([](const Value& v) { return v.is_text(); })},
      {"true", kind([](const Value& v) { return v.is<bool>() && v.get<bool>(); })},
      {"undefined", kind([](const Value& v) { return v.is_undefined(); })},
      {"upper",
       [](const Value& v, Arguments&, Work& work) { return all_are(text_of(v, work).bytes(), CharacterClass::Upper); }},
  };
  return kTests;
}

}  // namespace

void check_test(const std::string& name, const Work& work) {
  if (tests().contains(name)) return;
  std::string known;
  for (const auto& [other, test] : tests()) known += (known.empty() ? "" : ", ") + other;
  work.fail("the test '{}' is not supported; heed has {}", name, known);
}

bool apply_test(const std::string& name, const Value& value, Arguments& arguments, Work& work) {
  work.charge(1);
  const bool result = tests().find(name)->second(value, arguments, work);
  arguments.finish();
  return result;
}

}  // namespace heed::chat
