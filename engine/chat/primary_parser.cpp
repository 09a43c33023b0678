// Values, and what stands behind them: attributes, places, calls, filters and tests.
#include <algorithm>
#include <charconv>

#include "chat/expression_parser.h"
#include "chat/library.h"

namespace heed::chat {

ExpressionPtr ExpressionParser::parse_primary() {
  const Token token = current();
  switch (token.kind) {
    case Token::Kind::Name:
      next();
      if (token.text == "true" || token.text == "True") return make_constant(Value(true));
      if (token.text == "false" || token.text == "False") return make_constant(Value(false));
      if (token.text == "none" || token.text == "None") return make_constant(Value::none());
      return make(Kind::Name, {}, token.text);
    case Token::Kind::String: {
      std::string text;
      while (is_at(Token::Kind::String)) text += next().text;
      return make_constant(Value::own_text(std::move(text)));
    }
    case Token::Kind::Integer: {
      next();
      std::int64_t value = 0;
      const auto [end, error] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      if (error != std::errc() || *end != '\0') work_.fail("the number {} does not fit 64 bits", token.text);
      return make_constant(Value(value));
    }
    case Token::Kind::Real: {
      next();
      double value = 0;
      const auto [end, error] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      if (error != std::errc() || *end != '\0') work_.fail("the number {} is out of range", token.text);
      return make_constant(Value(value));
    }
    default:
      break;
  }
  if (skip_operator("(")) {
    if (skip_operator(")")) return make(Kind::Tuple, {});
    ExpressionPtr inner = parse_tuple();
    expect_operator(")");
    return inner;
  }
  if (skip_operator("[")) return parse_list();
  if (skip_operator("{")) return parse_dict();
  fail_here("a value");
}

ExpressionPtr ExpressionParser::parse_list() {
  std::vector<ExpressionPtr> parts;
  while (!skip_operator("]")) {
    if (!parts.empty()) {
      expect_operator(",");
      if (skip_operator("]")) break;
    }
    parts.push_back(parse_expression());
  }
  return make(Kind::List, std::move(parts));
}

ExpressionPtr ExpressionParser::parse_dict() {
  std::vector<ExpressionPtr> parts;
  while (!skip_operator("}")) {
    if (!parts.empty()) {
      expect_operator(",");
      if (skip_operator("}")) break;
    }
    parts.push_back(parse_expression());
    expect_operator(":");
    parts.push_back(parse_expression());
  }
  return make(Kind::Dict, std::move(parts));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr subject) {
  while (true) {
    if (skip_operator(".")) {
      if (is_at(Token::Kind::Integer)) {
        ExpressionPtr place = parse_primary();
        subject = make(Kind::Item, list_of(std::move(subject), std::move(place)));
      } else {
        std::string name = expect_any_name();
        subject = make(Kind::Attribute, list_of(std::move(subject)), std::move(name));
      }
    } else if (skip_operator("[")) {
      subject = parse_subscript(std::move(subject));
    } else if (skip_operator("(")) {
      subject = parse_call(Kind::Call, std::move(subject), {});
    } else {
      return subject;
    }
  }
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr subject) {
  ExpressionPtr bounds[3];
  int colons = 0;
  while (!is_operator("]")) {
    if (skip_operator(":")) {
      if (++colons > 2) fail_here("']'");
    } else if (bounds[colons] == nullptr) {
      bounds[colons] = parse_expression();
    } else {
      fail_here("']'");
    }
  }
  next();
  if (colons > 0) {
    return make(Kind::Slice,
                list_of(std::move(subject), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])));
  }
  if (bounds[0] == nullptr) work_.fail("[] names no place");
  return make(Kind::Item, list_of(std::move(subject), std::move(bounds[0])));
}

void ExpressionParser::parse_arguments(std::vector<ExpressionPtr>& parts,
                                       std::vector<std::pair<std::string, ExpressionPtr>>& named) {
  bool first = true;
  while (!skip_operator(")")) {
    if (!first) {
      expect_operator(",");
      if (skip_operator(")")) return;
    }
    first = false;
    if (is_operator("*") || is_operator("**")) work_.fail("arguments with '{}' are not supported", current().text);
    const Token& behind = tokens_[std::min(at_ + 1, tokens_.size() - 1)];
    if (is_at(Token::Kind::Name) && behind.kind == Token::Kind::Operator && behind.text == "=") {
      std::string name = next().text;
      next();
      named.emplace_back(std::move(name), parse_expression());
    } else {
      if (!named.empty()) work_.fail("an argument without a name stands behind one with a name");
      parts.push_back(parse_expression());
    }
  }
}

ExpressionPtr ExpressionParser::parse_call(Kind kind, ExpressionPtr subject, std::string name) {
  std::vector<ExpressionPtr> parts;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  parts.push_back(std::move(subject));
  parse_arguments(parts, named);
  return make(kind, std::move(parts), std::move(name), std::move(named));
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr subject, bool bare) {
  while (bare || is_operator("|")) {
    if (!bare) next();
    bare = false;
    std::string name = expect_any_name();
    while (skip_operator(".")) name += "." + expect_any_name();
    check_filter(name, work_);
    subject = skip_operator("(") ? parse_call(Kind::Filter, std::move(subject), std::move(name))
                                 : make(Kind::Filter, list_of(std::move(subject)), std::move(name));
  }
  return subject;
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr subject) {
  while (true) {
    if (is_operator("|")) {
      subject = parse_filters(std::move(subject), false);
    } else if (skip_name("is")) {
      subject = parse_test(std::move(subject));
    } else if (skip_operator("(")) {
      subject = parse_call(Kind::Call, std::move(subject), {});
    } else {
      return subject;
    }
  }
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr subject) {
  const bool negated = skip_name("not");
  std::string name = expect_any_name();
  check_test(name, work_);
  ExpressionPtr test;
  const Token& token = current();
  const bool argument = token.kind == Token::Kind::String || token.kind == Token::Kind::Integer ||
                        token.kind == Token::Kind::Real || is_operator("[") || is_operator("{") ||
                        (token.kind == Token::Kind::Name && !is_name("else") && !is_name("or") && !is_name("and"));
  if (skip_operator("(")) {
    test = parse_call(Kind::Test, std::move(subject), std::move(name));
  } else if (argument) {
    if (is_name("is")) work_.fail("tests with 'is' cannot follow each other");
    // "x is defined if y", "x is none in z": what follows is no value, and the tests there take none.
    if (is_name("if") || is_name("in") || is_name("not") || is_name("recursive")) {
      test = make(Kind::Test, list_of(std::move(subject)), std::move(name));
    } else {
      ExpressionPtr value = parse_postfix(parse_primary());
      test = make(Kind::Test, list_of(std::move(subject), std::move(value)), std::move(name));
    }
  } else {
    test = make(Kind::Test, list_of(std::move(subject)), std::move(name));
  }
  return negated ? make(Kind::Not, list_of(std::move(test))) : std::move(test);
}

std::vector<Parameter> ExpressionParser::parse_parameters() {
  expect_operator("(");
  std::vector<Parameter> parameters;
  while (!skip_operator(")")) {
    if (!parameters.empty()) {
      expect_operator(",");
      if (skip_operator(")")) break;
    }
    std::string name = expect_any_name();
    ExpressionPtr otherwise = skip_operator("=") ? parse_expression() : nullptr;
    if (otherwise == nullptr && !parameters.empty() && parameters.back().otherwise != nullptr) {
      work_.fail("the parameter '{}' has no default, but one before it has", name);
    }
    parameters.push_back({std::move(name), std::move(otherwise)});
  }
  return parameters;
}

}  // namespace heed::chat
