#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/description.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// Pieces with what all tokenizers of pieces say of them; engine/file/tokenizer_format.md describes all of it.
class PieceTokenizer : public Tokenizer {
 public:
  explicit PieceTokenizer(const TokenizerDescription& description);

  std::string piece(TokenId token) const override;
  std::string decode(const std::vector<TokenId>& tokens) const override;
  const std::vector<TokenId>& end_tokens() const override { return flags_.end; }
  std::size_t vocabulary_size() const override { return vocabulary_.size(); }
  const std::vector<TokenId>& before() const override { return flags_.before; }
  const std::vector<TokenId>& after() const override { return flags_.after; }
  const std::map<std::string, TokenId>& languages() const override { return flags_.languages; }
  std::optional<TokenId> unknown_token() const override { return vocabulary_.unknown(); }
  std::vector<SpelledToken> spelled(std::string_view text) const override { return specials_.spelled(text); }

 protected:
  /// Throws Error when there is no such token.
  void check_token(TokenId token) const;

  /// Calls `on_text` for the stretches that are text, and appends the ids of special tokens between them.
  void cut_at_specials(std::string_view text, const Specials& specials, std::vector<TokenId>& ids,
                       const std::function<void(std::string_view)>& on_text) const;

  const TokenizerDescription flags_;  // and short lists; the vocabulary and others keep the rest in their own form
  const Vocabulary vocabulary_;
  const SpecialTokens specials_;  // and what else every raw text is cut at
};

/// A tokenizer whose description has steps.
std::unique_ptr<Tokenizer> make_step_tokenizer(const TokenizerDescription& description);

}  // namespace heed
