#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace heed {

/// A token that is looked for in a text as a whole, and what it takes with it there.
struct SpecialToken {
  std::string text;
  TokenId id = 0;
  bool special = true;       // of chats and the like; else a user-defined piece, which every text is cut at
  bool strip_left = false;   // the white space before it goes
  bool strip_right = false;  // and that behind it
  bool whole_word = false;   // only where no letter, digit or "_" stands beside it
};

/// Finds special tokens in text, as the tokenizers library does. Immutable.
class SpecialTokens {
 public:
  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  /// Calls `on_text` for each stretch between tokens, unless empty, and `on_token` for each of them, in order; at each
  /// place the longest one wins. `plain`: what Specials says of it.
  void cut(std::string_view text, const std::vector<std::size_t>& plain,
           const std::function<void(std::string_view stretch)>& on_text,
           const std::function<void(TokenId token)>& on_token) const;
  /// Where special ones begin in a text (byte offsets, ascending), those within others too.
  std::vector<std::size_t> places(std::string_view text) const;

 private:
  const SpecialToken* longest_at(std::string_view text, std::size_t at, bool only_special) const;

  std::vector<SpecialToken> tokens_;
  std::unordered_map<std::string_view, std::size_t> by_text_;
  std::array<std::vector<std::size_t>, 256> sizes_;  // by first byte, longest first
};

}  // namespace heed
