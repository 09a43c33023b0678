#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat/value.h"

// What operators do with values, as in Python. All throw Error, with the line, for values that they are not for.
namespace heed::chat {

/// + - * / // % **
Value binary(std::string_view op, const Value& left, const Value& right, Work& work);
/// == != < <= > >= in "not in"
bool compare(std::string_view op, const Value& left, const Value& right, Work& work);
bool less(const Value& left, const Value& right, Work& work);
Value negative(const Value& value, Work& work);

/// The values that a loop over this goes through; an Iterator has none left then.
std::vector<Value> all_of(const Value& value, Work& work);
/// len().
std::int64_t length_of(const Value& value, Work& work);
/// value[place], undefined where there is none.
Value item_of(const Value& value, const Value& place, Work& work);
/// value.name of what is no method, undefined where there is none.
Value attribute_of(const Value& value, const std::string& name, Work& work);
/// value[start:stop:step], undefined or none for what is not given.
Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Work& work);

/// A text of digits as an integer, one of a number as one, as int() and float() read them; nothing for others.
std::optional<std::int64_t> read_integer(std::string_view text, int base = 10);
std::optional<double> read_real(std::string_view text);

}  // namespace heed::chat
