#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/error.h"

namespace heed::grammar {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

/// Code points from `first` to `last`, both of them too.
struct CodePoints {
  char32_t first = 0, last = 0;
  bool operator==(const CodePoints&) const = default;
};

/// What a rule says: a tree whose leaves are texts, classes of characters, and rules.
struct Expression {
  enum class Kind : std::uint8_t { Text, Characters, Rule, Sequence, Choice, Repeat };

  Kind kind = Kind::Sequence;
  std::string text;                    // Text: UTF-8
  std::vector<CodePoints> characters;  // Characters: ascending and apart from each other
  std::uint32_t rule = 0;              // Rule: its index
  std::vector<Expression> parts;       // Sequence, Choice: any number; Repeat: one
  std::uint32_t least = 0;             // Repeat: how often at least
  std::optional<std::uint32_t> most;   // and at most; nothing: without end
};

/// An ExpressionBudget is used up.
class BudgetSpent : public Error {
 public:
  using Error::Error;
};

/// How much may still be made of one schema, in expressions: those with long texts or many ranges count as several.
class ExpressionBudget {
 public:
  static constexpr std::size_t kMost = std::size_t{1} << 19;

  /// Throws BudgetSpent where too little is left.
  void take(std::size_t expressions);
  /// For all that an expression consists of.
  void take(const Expression& made);

 private:
  std::size_t left_ = kMost;
};

struct Rule {
  std::string name;
  Expression body;
};

/// A context-free grammar over code points. Every rule that an expression names is there.
struct Grammar {
  std::vector<Rule> rules;
  std::uint32_t root = 0;
};

Expression text(std::string_view bytes);
Expression rule(std::uint32_t index);
Expression sequence(std::vector<Expression> parts);
Expression choice(std::vector<Expression> parts);
Expression repeat(Expression part, std::uint32_t least, std::optional<std::uint32_t> most);
inline Expression optional(Expression part) { return repeat(std::move(part), 0, 1); }
/// The same of parts that are moved, which those of an initializer list are not.
template <std::same_as<Expression>... Parts>
Expression sequence_of(Parts... parts) {
  std::vector<Expression> moved;
  moved.reserve(sizeof...(parts));
  (moved.push_back(std::move(parts)), ...);
  return sequence(std::move(moved));
}
/// One of these code points; surrogates, which UTF-8 does not have, are taken out.
Expression characters(std::vector<CodePoints> ranges);

/// Ascending, joined where they touch, without surrogates.
std::vector<CodePoints> normal_ranges(std::vector<CodePoints> ranges);
/// What is in none of them, surrogates left out.
std::vector<CodePoints> complement(const std::vector<CodePoints>& ranges);
/// What is in both of two normal lists.
std::vector<CodePoints> common(const std::vector<CodePoints>& left, const std::vector<CodePoints>& right);

/// Ranges of bytes, one after the other, which together are the UTF-8 of a range of code points.
using ByteSequence = std::vector<std::pair<std::uint8_t, std::uint8_t>>;
/// The UTF-8 of code points that holds no surrogates, as sequences that begin with different bytes or differ later.
std::vector<ByteSequence> byte_sequences(CodePoints range);

}  // namespace heed::grammar
