#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/matcher.h"

namespace heed::grammar {

/// Constraints for the texts of one tokenizer, which must outlive it. What was made of the last few grammars is kept,
/// and of those that constraints are left of; and the tree of the tokens from the first on. Any thread may call it.
class Grammars {
 public:
  explicit Grammars(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  enum class Format : std::uint8_t { Gbnf, JsonSchema };
  /// For one text. Throws Error naming what is wrong with the grammar.
  std::shared_ptr<TokenConstraint> constrain(Format format, std::string_view text, std::vector<TokenId> end_tokens);

 private:
  struct Kept {
    Format format;
    std::string text;
    std::shared_ptr<Matcher> matcher;
  };
  std::shared_ptr<Matcher> matcher(Format format, std::string_view text);

  const Tokenizer& tokenizer_;
  std::mutex mutex_;
  std::shared_ptr<const TokenTrie> trie_;
  std::deque<Kept> kept_;  // the last used first
  struct InUse {
    Format format;
    std::string text;
    std::weak_ptr<Matcher> matcher;
  };
  std::vector<InUse> in_use_;  // those that are kept no more; some have gone
};

}  // namespace heed::grammar
