#include <algorithm>

#include "chat/library.h"

namespace heed::chat {

Value Arguments::take(std::string_view name) {
  if (next_ < values_.size()) return values_[next_++];
  return take_named(name);
}

Value Arguments::take_named(std::string_view name) {
  work_.charge(named_.size() / 8);
  const auto found = std::ranges::find_if(named_, [&](const auto& entry) { return entry.first == name; });
  if (found == named_.end()) return {};
  Value value = std::move(found->second);
  named_.erase(found);
  return value;
}

Value Arguments::take_required(std::string_view name) {
  const bool named = std::ranges::any_of(named_, [&](const auto& entry) { return entry.first == name; });
  if (!has_next() && !named) work_.fail("{}: the argument '{}' is missing", called_, name);
  return take(name);
}

Text Arguments::take_text(std::string_view name, std::string_view otherwise) {
  const Value value = take(name);
  if (value.is_undefined() && !otherwise.empty()) return Text(std::string(otherwise));
  if (!value.is_text()) work_.fail("{}: '{}' is {}; expected a text", called_, name, type_name(value));
  return value.as_text();
}

std::int64_t Arguments::take_integer(std::string_view name, std::int64_t otherwise) {
  const Value value = take(name);
  if (value.is_undefined()) return otherwise;
  if (!value.is_integer()) work_.fail("{}: '{}' is {}; expected an int", called_, name, type_name(value));
  return value.as_integer();
}

bool Arguments::take_flag(std::string_view name, bool otherwise) {
  const Value value = take(name);
  return value.is_undefined() ? otherwise : is_true(value);
}

std::vector<Value> Arguments::take_rest() {
  std::vector<Value> rest(values_.begin() + static_cast<std::ptrdiff_t>(next_), values_.end());
  next_ = values_.size();
  return rest;
}

void Arguments::finish() {
  if (next_ < values_.size()) work_.fail("{}: {} arguments are more than it takes", called_, values_.size());
  if (!named_.empty()) work_.fail("{}: there is no argument '{}'", called_, named_.front().first);
}

}  // namespace heed::chat
