#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chat/value.h"

// A template, parsed. parser.h makes it, rendering.h runs it.
namespace heed::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Expression {
  enum class Kind : std::uint8_t {
    Constant,
    Name,       // text
    List,       // parts
    Tuple,      // parts
    Dict,       // parts: key, value, key, value, ...
    Attribute,  // parts[0].text
    Item,       // parts[0][parts[1]]
    Slice,      // parts[0][parts[1]:parts[2]:parts[3]], each of which may be null
    Call,       // parts[0](parts[1], ..., named)
    Filter,     // parts[0] | text(parts[1], ..., named); parts[0] is null in a {% filter %}
    Test,       // parts[0] is text(parts[1], ..., named)
    Not,
    Negative,
    Positive,
    And,
    Or,
    Concat,     // parts[0] ~ parts[1] ~ ...
    Compare,    // parts[0] operators[0] parts[1] operators[1] ...
    Binary,     // parts[0] text parts[1]
    Condition,  // parts[0] if parts[1] else parts[2], which may be null
  };
  Kind kind = Kind::Constant;
  int line = 1;
  int depth = 1;  // of expressions within each other
  std::string text;
  Value constant;
  std::vector<ExpressionPtr> parts;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  std::vector<std::string> operators;
};

/// What is assigned to: a name, names with commas, or the attribute of a namespace.
struct Target {
  std::vector<std::string> names;
  bool unpacks = false;
  std::string attribute;
};

struct Statement;
using Body = std::vector<Statement>;

struct Branch {
  ExpressionPtr condition;
  Body body;
};

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // null: undefined where it is not given
};

struct Statement {
  enum class Kind : std::uint8_t {
    Data,      // text
    Output,    // expression
    If,        // branches, otherwise
    For,       // target in expression if condition: body; otherwise
    Set,       // target = expression
    SetBlock,  // target = what the body prints, through the filters of expression
    Macro,     // text(parameters): body
    Scope,     // body, whose variables end with it: {% generation %}
    With,      // targets = expressions of assignments: body
    Filter,    // what the body prints, through the filters of expression
    Break,
    Continue,
  };
  Kind kind = Kind::Data;
  int line = 1;
  std::string text;
  Target target;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<Branch> branches;
  Body body;
  Body otherwise;
  std::vector<Parameter> parameters;
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
};

}  // namespace heed::chat
