// Operators, from the weakest to the strongest; what they stand between is in primary_parser.cpp.
#include "chat/expression_parser.h"

#include <algorithm>

namespace heed::chat {
namespace {

constexpr int kDeepestExpression = 150;

std::string shown_token(const Token& token) {
  switch (token.kind) {
    case Token::Kind::Data:
    case Token::Kind::End:
      return "the end";
    case Token::Kind::VariableBegin:
      return "'{{'";
    case Token::Kind::VariableEnd:
      return "'}}'";
    case Token::Kind::BlockBegin:
      return "'{%'";
    case Token::Kind::BlockEnd:
      return "'%}'";
    default:
      return "'" + token.text.substr(0, 40) + "'";
  }
}

}  // namespace

Token ExpressionParser::next() {
  const Token token = current();
  if (token.kind != Token::Kind::End) ++at_;
  work_.line = current().line;
  return token;
}

bool ExpressionParser::skip_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  next();
  return true;
}

bool ExpressionParser::skip_name(std::string_view text) {
  if (!is_name(text)) return false;
  next();
  return true;
}

void ExpressionParser::fail_here(std::string_view expected) {
  work_.line = current().line;
  work_.fail("{} is expected instead of {}", expected, shown_token(current()));
}

void ExpressionParser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_here(fmt::format("'{}'", text));
}

void ExpressionParser::expect_name(std::string_view text) {
  if (!skip_name(text)) fail_here(fmt::format("'{}'", text));
}

std::string ExpressionParser::expect_any_name() {
  if (!is_at(Token::Kind::Name)) fail_here("a name");
  return next().text;
}

ExpressionPtr ExpressionParser::make(Kind kind, std::vector<ExpressionPtr> parts, std::string text,
                                     std::vector<std::pair<std::string, ExpressionPtr>> named,
                                     std::vector<std::string> operators) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = work_.line;
  expression->text = std::move(text);
  const auto count = [&](const ExpressionPtr& part) {
    if (part != nullptr) expression->depth = std::max(expression->depth, part->depth + 1);
  };
  for (const ExpressionPtr& part : parts) count(part);
  for (const auto& [name, part] : named) count(part);
  if (expression->depth > kDeepestExpression) {
    work_.fail("expressions nest deeper than {} levels", kDeepestExpression);
  }
  expression->parts = std::move(parts);
  expression->named = std::move(named);
  expression->operators = std::move(operators);
  return expression;
}

ExpressionPtr ExpressionParser::make_constant(Value value) {
  auto expression = std::make_unique<Expression>();
  expression->line = work_.line;
  expression->constant = std::move(value);
  return expression;
}

ExpressionPtr ExpressionParser::parse_tuple(bool conditions) {
  const auto one = [&] { return conditions ? parse_condition() : parse_or(); };
  ExpressionPtr first = one();
  if (!is_operator(",")) return first;
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(first));
  while (skip_operator(",")) {
    const bool ends = is_at(Token::Kind::BlockEnd) || is_at(Token::Kind::VariableEnd) || is_operator(")") ||
                      is_operator("=") || is_name("in");
    if (ends) break;
    parts.push_back(one());
  }
  return make(Kind::Tuple, std::move(parts));
}

Target ExpressionParser::parse_target(bool attributes) {
  Target target;
  const bool parentheses = skip_operator("(");
  target.names.push_back(expect_any_name());
  if (attributes && !parentheses && skip_operator(".")) {
    target.attribute = expect_any_name();
    return target;
  }
  while (skip_operator(",")) {
    target.unpacks = true;
    if (!is_at(Token::Kind::Name) || is_name("in")) break;
    target.names.push_back(expect_any_name());
  }
  if (parentheses) expect_operator(")");
  for (const std::string& name : target.names) {
    for (const char* reserved : {"true", "false", "none", "True", "False", "None", "loop"}) {
      if (name == reserved) work_.fail("'{}' cannot be assigned to", name);
    }
  }
  return target;
}

ExpressionPtr ExpressionParser::parse_condition() {
  const Work::Level level(work_);
  ExpressionPtr value = parse_or();
  while (skip_name("if")) {
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise = skip_name("else") ? parse_condition() : nullptr;
    value = make(Kind::Condition, list_of(std::move(value), std::move(condition), std::move(otherwise)));
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  ExpressionPtr left = parse_and();
  while (skip_name("or")) {
    ExpressionPtr right = parse_and();
    left = make(Kind::Or, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  ExpressionPtr left = parse_not();
  while (skip_name("and")) {
    ExpressionPtr right = parse_not();
    left = make(Kind::And, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Work::Level level(work_);
  next();
  return make(Kind::Not, list_of(parse_not()));
}

ExpressionPtr ExpressionParser::parse_compare() {
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> operators;
  parts.push_back(parse_sum());
  while (true) {
    const bool compares =
        is_at(Token::Kind::Operator) && (current().text == "==" || current().text == "!=" || current().text == "<" ||
                                         current().text == "<=" || current().text == ">" || current().text == ">=");
    if (compares) {
      operators.push_back(next().text);
    } else if (skip_name("in")) {
      operators.emplace_back("in");
    } else if (is_name("not") && tokens_[at_ + 1].kind == Token::Kind::Name && tokens_[at_ + 1].text == "in") {
      next();
      next();
      operators.emplace_back("not in");
    } else {
      break;
    }
    parts.push_back(parse_sum());
  }
  if (operators.empty()) return std::move(parts.front());
  return make(Kind::Compare, std::move(parts), {}, {}, std::move(operators));
}

ExpressionPtr ExpressionParser::parse_binary(std::initializer_list<std::string_view> operators,
                                             ExpressionPtr (ExpressionParser::*operand)()) {
  ExpressionPtr left = (this->*operand)();
  while (is_at(Token::Kind::Operator) && std::ranges::find(operators, current().text) != operators.end()) {
    const std::string name = next().text;
    ExpressionPtr right = (this->*operand)();
    left = make(Kind::Binary, list_of(std::move(left), std::move(right)), name);
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_sum() { return parse_binary({"+", "-"}, &ExpressionParser::parse_concat); }

ExpressionPtr ExpressionParser::parse_concat() {
  std::vector<ExpressionPtr> parts;
  parts.push_back(parse_product());
  while (skip_operator("~")) parts.push_back(parse_product());
  return parts.size() == 1 ? std::move(parts.front()) : make(Kind::Concat, std::move(parts));
}

ExpressionPtr ExpressionParser::parse_product() {
  return parse_binary({"*", "/", "//", "%"}, &ExpressionParser::parse_power);
}

ExpressionPtr ExpressionParser::parse_power() { return parse_binary({"**"}, &ExpressionParser::parse_power_operand); }

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const Work::Level level(work_);
  ExpressionPtr value;
  if (skip_operator("-")) {
    value = make(Kind::Negative, list_of(parse_unary(false)));
  } else if (skip_operator("+")) {
    value = make(Kind::Positive, list_of(parse_unary(false)));
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters_and_tests(std::move(value)) : std::move(value);
}

}  // namespace heed::chat
