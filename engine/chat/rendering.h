#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/library.h"
#include "chat/syntax.h"

namespace heed::chat {

/// Thrown where a template calls raise_exception: what it does not take of a chat is the caller's fault, not its own.
class Refused : public Error {
 public:
  using Error::Error;
};

/// Runs a parsed template once.
class Rendering {
 public:
  /// `now`: what strftime_now formats, in local time.
  Rendering(const Body& body, std::chrono::system_clock::time_point now) : body_(body), now_(now) {}

  Work& work() { return work_; }
  void define(std::string name, Value value) { root_.variables.emplace_back(std::move(name), std::move(value)); }
  /// What it prints. Throws Refused, or Error naming the line.
  Text run();

 private:
  struct Scope {
    const Scope* outer = nullptr;
    std::vector<std::pair<std::string, Value>> variables;
  };
  enum class Flow { On, Break, Continue };

  // Statements.
  Flow run_body(const Body& body, Scope& scope);
  Flow run_statement(const Statement& statement, Scope& scope);
  Flow run_if(const Statement& statement, Scope& scope);
  Flow run_for(const Statement& statement, Scope& scope);
  Flow run_with(const Statement& statement, Scope& scope);
  void assign(const Target& target, const Value& value, Scope& scope);
  /// What a body prints, in a scope of its own; it does not leave a loop around it.
  Text captured(const Body& body, const Scope& outer);
  Value filtered(const Expression* filters, Text text, const Scope& scope);
  void print(const Text& text);

  // Expressions.
  Value value_of(const Expression& expression, const Scope& scope);
  Value name_of(const Expression& expression, const Scope& scope);
  Value attribute_value(const Expression& expression, const Scope& scope);
  Value compare_all(const Expression& expression, const Scope& scope);
  Value dict_of(const Expression& expression, const Scope& scope);
  Value call(const Expression& expression, const Scope& scope);
  Value call_function(Function function, Arguments& arguments);
  Value call_macro(const Statement& macro, Arguments& arguments);
  Value filter(const Expression& expression, const Scope& scope, const Text* subject);
  Arguments arguments_of(const Expression& expression, const Scope& scope, std::string_view called);
  std::vector<Value> values_of(const std::vector<ExpressionPtr>& parts, std::size_t from, const Scope& scope);
  Value range(Arguments& arguments);
  Value format_time(const Text& given);

  const Body& body_;
  const std::chrono::system_clock::time_point now_;
  Work work_;
  Scope root_;
  std::deque<Namespace> namespaces_;
  Text* output_ = nullptr;
};

}  // namespace heed::chat
