#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grammar/syntax.h"

namespace heed::grammar {

/// Rules for texts of JSON, put into a grammar as they are asked for. White space is what models write: nothing, a
/// space, or a new line with an indentation; not more, since a model that may write white space for ever at times does.
class JsonTexts {
 public:
  /// Both must outlive it.
  JsonTexts(Grammar& grammar, ExpressionBudget& budget) : grammar_(grammar), budget_(budget) {}

  Expression space();
  Expression value();
  Expression string();
  Expression character();  // of a string
  Expression number();
  Expression integer();
  /// A key, which is JSON, with a value.
  Expression pair(Expression key, Expression value);
  /// The key of a property that has none of these names: without escapes, where there are names. Throws Error for names
  /// that are too long, or too many for the budget, which it takes from.
  Expression other_key(const std::vector<std::string>& names);

 private:
  Expression once(const char* name, Expression (JsonTexts::*make)());
  Expression make_space();
  Expression make_value();
  Expression make_string();
  Expression make_character();
  Expression make_number();
  Expression make_integer();

  Grammar& grammar_;
  ExpressionBudget& budget_;
  std::map<std::string, std::uint32_t> made_;
};

}  // namespace heed::grammar
