#include "chat/template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat/parser.h"
#include "chat/rendering.h"
#include "tokenizer/utf8.h"

namespace heed::chat {

namespace {

constexpr std::size_t kLongestTemplate = 1 << 20;

/// Templates make "<|user|>" of roles. A role that nobody foresaw could make another token so: "<|end|>".
bool is_role(const std::string& role, const std::string& source) {
  constexpr std::string_view kUsual[] = {"system", "developer", "user", "assistant", "tool", "function"};
  if (std::ranges::find(kUsual, role) != std::end(kUsual)) return true;
  const bool is_name = !role.empty() && role.size() <= 64 && std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!is_name) return false;
  return source.find("'" + role + "'") != std::string::npos || source.find('"' + role + '"') != std::string::npos;
}

/// Whether a variable's name stands in these, be it a local one of the name.
bool names(const ExpressionPtr& expression, std::string_view variable) {
  if (expression == nullptr) return false;
  if (expression->kind == Expression::Kind::Name && expression->text == variable) return true;
  return std::ranges::any_of(expression->parts, [&](const auto& part) { return names(part, variable); }) ||
         std::ranges::any_of(expression->named, [&](const auto& argument) { return names(argument.second, variable); });
}

bool names(const Body& body, std::string_view variable) {
  return std::ranges::any_of(body, [&](const Statement& statement) {
    return names(statement.expression, variable) || names(statement.condition, variable) ||
           names(statement.body, variable) || names(statement.otherwise, variable) ||
           std::ranges::any_of(statement.branches,
                               [&](const Branch& branch) {
                                 return names(branch.condition, variable) || names(branch.body, variable);
                               }) ||
           std::ranges::any_of(statement.parameters,
                               [&](const Parameter& parameter) { return names(parameter.otherwise, variable); }) ||
           std::ranges::any_of(statement.assignments,
                               [&](const auto& assignment) { return names(assignment.second, variable); });
  });
}

}  // namespace

Template::Template(std::string_view source) {
  if (source.size() > kLongestTemplate) {
    throw Error(fmt::format("the chat template has {} bytes, at most {} are read", source.size(), kLongestTemplate));
  }
  if (const std::size_t bad = find_invalid_utf8(source); bad != source.size()) {
    throw Error(fmt::format("the chat template is not valid UTF-8 at byte {}", bad));
  }
  source_ = std::make_shared<const std::string>(source);
  body_ = std::make_shared<const Body>(parse_template(source));
}

std::string Template::render(const nlohmann::ordered_json& variables, std::chrono::system_clock::time_point now) const {
  return render(variables, nlohmann::ordered_json::object(), now).bytes();
}

Text Template::render(const nlohmann::ordered_json& own, const nlohmann::ordered_json& given,
                      std::chrono::system_clock::time_point now) const {
  Rendering rendering(*body_, now);
  Work& work = rendering.work();
  for (const auto& [name, value] : own.items()) rendering.define(name, from_json(value, Source::Own, work));
  for (const auto& [name, value] : given.items()) {
    const bool messages = name == "messages" && value.is_array();
    rendering.define(name, messages ? messages_from_json(value, work) : from_json(value, Source::Given, work));
  }
  return rendering.run();
}

bool Template::reads(std::string_view variable) const { return names(*body_, variable); }

Value Template::messages_from_json(const nlohmann::ordered_json& messages, Work& work) const {
  std::vector<Value> list;
  for (const auto& message : messages) {
    const Value value = from_json(message, Source::Given, work);
    const std::string role = message.is_object() && message.contains("role") && message["role"].is_string()
                                 ? message["role"].get<std::string>()
                                 : "";
    if (!is_role(role, *source_)) {
      list.push_back(value);
      continue;
    }
    std::vector<std::pair<Value, Value>> entries = value.as_dict().entries;
    for (auto& [key, item] : entries) {
      if (key.as_bytes() == "role") item = Value::own_text(role);
    }
    list.push_back(make_dict(std::move(entries), work));
  }
  return make_sequence(std::move(list), Sequence::Kind::List, work);
}

}  // namespace heed::chat
