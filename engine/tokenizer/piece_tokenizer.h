#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/description.h"
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

 protected:
  /// Throws Error when there is no such token.
  void check_token(TokenId token) const;

  const TokenizerDescription flags_;  // and short lists; the vocabulary and others keep the rest in their own form
  const Vocabulary vocabulary_;
};

/// A tokenizer whose description has steps.
std::unique_ptr<Tokenizer> make_step_tokenizer(const TokenizerDescription& description);

}  // namespace heed
