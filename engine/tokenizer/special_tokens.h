#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace heed {

/// A token that is looked for in a text as a whole, and what it takes with it there.
struct SpecialToken {
  std::string text;
  TokenId id = 0;
  bool special = true;        // of chats and the like; else a user-defined piece, which every text is cut at
  bool strip_left = false;    // the white space before it goes
  bool strip_right = false;   // and that behind it
  bool whole_word = false;    // only where no letter, digit or "_" stands beside it
  bool in_raw_text = true;    // else it is not looked for here,
  bool in_stretches = false;  // but (also) in what is made of the stretches between the tokens
};

/// Finds special tokens in text, as the tokenizers library does. Immutable.
class SpecialTokens {
 public:
  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  /// Calls `on_text` for each stretch between tokens, unless empty, and `on_token` for each of them, in order; at each
  /// place the longest one wins. A piece that `specials` forbids and that would be found in a stretch lies in two.
  void cut(std::string_view text, const Specials& specials,
           const std::function<void(std::string_view stretch)>& on_text,
           const std::function<void(TokenId token)>& on_token) const;
  /// What Tokenizer::spelled() gives.
  std::vector<SpelledToken> spelled(std::string_view text) const;

 private:
  /// Calls `on_token` for each that the text has at `at`, the shortest first.
  void each_at(std::string_view text, std::size_t at, const auto& on_token) const;

  std::vector<SpecialToken> tokens_;  // by text, no two alike
  std::vector<std::size_t> begins_;   // those whose first byte is b are [begins_[b], begins_[b + 1])
};

}  // namespace heed
