// Statements; expressions are in evaluate.cpp.
#include "chat/rendering.h"

#include <algorithm>

#include "chat/operators.h"

namespace heed::chat {

Text Rendering::run() {
  Text text;
  output_ = &text;
  run_body(body_, root_);
  return text;
}

void Rendering::print(const Text& text) {
  work_.charge_text(text.size());
  append(*output_, text, work_);
}

Rendering::Flow Rendering::run_body(const Body& body, Scope& scope) {
  const Work::Level level(work_);
  for (const Statement& statement : body) {
    if (const Flow flow = run_statement(statement, scope); flow != Flow::On) return flow;
  }
  return Flow::On;
}

Rendering::Flow Rendering::run_statement(const Statement& statement, Scope& scope) {
  work_.line = statement.line;
  work_.charge(1);
  switch (statement.kind) {
    case Statement::Kind::Data:
      print(Text(statement.text));
      break;
    case Statement::Kind::Output:
      print(text_of(value_of(*statement.expression, scope), work_));
      break;
    case Statement::Kind::If:
      return run_if(statement, scope);
    case Statement::Kind::For:
      return run_for(statement, scope);
    case Statement::Kind::Set:
      assign(statement.target, value_of(*statement.expression, scope), scope);
      break;
    case Statement::Kind::SetBlock:
      assign(statement.target, filtered(statement.expression.get(), captured(statement.body, scope), scope), scope);
      break;
    case Statement::Kind::Macro:
      assign({{statement.text}, false, {}}, Value(&statement), scope);
      break;
    case Statement::Kind::Scope:
      print(captured(statement.body, scope));
      break;
    case Statement::Kind::With:
      return run_with(statement, scope);
    case Statement::Kind::Filter:
      print(text_of(filtered(statement.expression.get(), captured(statement.body, scope), scope), work_));
      break;
    case Statement::Kind::Break:
      return Flow::Break;
    case Statement::Kind::Continue:
      return Flow::Continue;
  }
  return Flow::On;
}

Rendering::Flow Rendering::run_if(const Statement& statement, Scope& scope) {
  for (const Branch& branch : statement.branches) {
    if (is_true(value_of(*branch.condition, scope))) return run_body(branch.body, scope);
  }
  return run_body(statement.otherwise, scope);
}

Rendering::Flow Rendering::run_for(const Statement& statement, Scope& scope) {
  std::vector<Value> items = all_of(value_of(*statement.expression, scope), work_);
  if (statement.condition != nullptr) {
    std::erase_if(items, [&](const Value& item) {
      Scope inner{&scope, {}};
      assign(statement.target, item, inner);
      return !is_true(value_of(*statement.condition, inner));
    });
  }
  if (items.empty()) {
    Scope inner{&scope, {}};
    return run_body(statement.otherwise, inner);
  }
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
  const auto shared = std::make_shared<const std::vector<Value>>(std::move(items));
  for (std::size_t i = 0; i < shared->size(); ++i) {
    work_.charge(1);
    Scope inner{&scope, {}};
    inner.variables.emplace_back("loop", Value(std::make_shared<const Loop>(Loop{shared, i, depth})));
    assign(statement.target, (*shared)[i], inner);
    if (run_body(statement.body, inner) == Flow::Break) break;
  }
  return Flow::On;
}

Rendering::Flow Rendering::run_with(const Statement& statement, Scope& scope) {
  Scope inner{&scope, {}};
  for (const auto& [target, expression] : statement.assignments) assign(target, value_of(*expression, scope), inner);
  return run_body(statement.body, inner);
}

Text Rendering::captured(const Body& body, const Scope& outer) {
  Scope inner{&outer, {}};
  Text text;
  Text* const before = std::exchange(output_, &text);
  const Flow flow = run_body(body, inner);
  output_ = before;
  if (flow != Flow::On) work_.fail("a break or continue leaves the block that it stands in, which is not supported");
  return text;
}

Value Rendering::filtered(const Expression* filters, Text text, const Scope& scope) {
  if (filters == nullptr) return make_text(std::move(text), work_);
  return filter(*filters, scope, &text);
}

void Rendering::assign(const Target& target, const Value& value, Scope& scope) {
  const auto set = [&](const std::string& name, const Value& to) {
    work_.charge(scope.variables.size() / 8);
    const auto found = std::ranges::find_if(scope.variables, [&](const auto& entry) { return entry.first == name; });
    if (found != scope.variables.end()) {
      found->second = to;
    } else {
      scope.variables.emplace_back(name, to);
    }
  };
  if (!target.attribute.empty()) {
    const std::string& name = target.names.front();
    const Scope* at = &scope;
    const Value* space = nullptr;
    for (; at != nullptr && space == nullptr; at = at->outer) {
      work_.charge(at->variables.size() / 8);
      const auto found = std::ranges::find_if(at->variables, [&](const auto& entry) { return entry.first == name; });
      if (found != at->variables.end()) space = &found->second;
    }
    if (space == nullptr || !space->is<Namespace*>()) {
      work_.fail("'{}.{}' is set, but '{}' is no namespace", name, target.attribute, name);
    }
    auto& attributes = space->get<Namespace*>()->attributes;
    work_.charge(attributes.size() / 8);
    const auto found =
        std::ranges::find_if(attributes, [&](const auto& entry) { return entry.first == target.attribute; });
    if (found != attributes.end()) {
      found->second = value;
    } else {
      attributes.emplace_back(target.attribute, value);
    }
    return;
  }
  if (!target.unpacks) return set(target.names.front(), value);
  const std::vector<Value> items = all_of(value, work_);
  if (items.size() != target.names.size()) {
    work_.fail("{} values are given to {} names", items.size(), target.names.size());
  }
  for (std::size_t i = 0; i < items.size(); ++i) set(target.names[i], items[i]);
}

}  // namespace heed::chat
