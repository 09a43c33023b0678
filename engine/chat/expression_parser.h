#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/lexer.h"
#include "chat/syntax.h"
#include "chat/work.h"

namespace heed::chat {

/// A list of what cannot be copied.
std::vector<ExpressionPtr> list_of(auto... parts) {
  std::vector<ExpressionPtr> list;
  (list.push_back(std::move(parts)), ...);
  return list;
}

/// The tokens of a template and where they are read, with the grammar of expressions: that of Jinja's parser, a
/// function a level of precedence.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  bool is_at(Token::Kind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const { return is_at(Token::Kind::Operator) && current().text == text; }
  bool is_name(std::string_view text) const { return is_at(Token::Kind::Name) && current().text == text; }
  Token next();
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();
  [[noreturn]] void fail_here(std::string_view expected);
  Work& work() { return work_; }

  ExpressionPtr parse_expression() { return parse_condition(); }
  /// One expression, or several with commas, which are a tuple; `conditions`: with `a if b` among them.
  ExpressionPtr parse_tuple(bool conditions = true);
  /// "name", "a, b", "(a, b)", and with `attributes` "namespace.name".
  Target parse_target(bool attributes);
  /// The filters behind an expression, or behind nothing in {% filter a|b %}, where the first has no "|" before it.
  ExpressionPtr parse_filters(ExpressionPtr subject, bool bare);
  std::vector<Parameter> parse_parameters();

 private:
  using Kind = Expression::Kind;
  ExpressionPtr make(Kind kind, std::vector<ExpressionPtr> parts, std::string text = {},
                     std::vector<std::pair<std::string, ExpressionPtr>> named = {},
                     std::vector<std::string> operators = {});
  ExpressionPtr make_constant(Value value);
  ExpressionPtr parse_condition();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr subject);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr subject);
  ExpressionPtr parse_subscript(ExpressionPtr subject);
  ExpressionPtr parse_call(Kind kind, ExpressionPtr subject, std::string name);
  ExpressionPtr parse_test(ExpressionPtr subject);
  ExpressionPtr parse_binary(std::initializer_list<std::string_view> operators,
                             ExpressionPtr (ExpressionParser::*operand)());
  void parse_arguments(std::vector<ExpressionPtr>& parts, std::vector<std::pair<std::string, ExpressionPtr>>& named);
  ExpressionPtr parse_power_operand() { return parse_unary(true); }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Work work_;
};

}  // namespace heed::chat
