#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/spell.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// Cuts a word into pieces from left to right, each the longest there is (BERT's WordPiece), or takes it as a whole.
/// Immutable; refers to the vocabulary.
class WordPieces {
 public:
  /// For a description that merges by word pieces or by words.
  WordPieces(const TokenizerDescription& description, const Vocabulary& vocabulary);
  /// Appends the ids of `word`, valid UTF-8, in O(n) lookups for pieces of bounded length; a word that the pieces do
  /// not spell, or that is too long, is unknown as a whole. Throws Error when there is no unknown piece for it.
  void encode(std::string_view word, Speller& speller, std::vector<TokenId>& ids) const;

 private:
  bool spell(std::string_view word, Speller& speller, std::vector<TokenId>& ids) const;

  const Vocabulary& vocabulary_;
  const bool whole_words_;
  const std::string continuing_prefix_;
  const std::size_t most_characters_;
  std::size_t longest_ = 0;  // bytes of a piece
};

}  // namespace heed
