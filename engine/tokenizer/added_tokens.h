#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tokenizer/split.h"
#include "tokenizer/step_runner.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// The tokens that are looked for in a text before all else, in the manner of Hugging Face's added tokens: some in the
/// raw text, some in the normalized one, some with the white space beside them, some only as whole words. Immutable.
class AddedTokens {
 public:
  /// The user-defined, control and unknown pieces of a description with steps. `normalizer` does its `normalize`.
  /// Throws Error when a piece that is looked for in normalized text is empty there, or longer than a piece may be.
  AddedTokens(const TokenizerDescription& description, const Vocabulary& vocabulary, const StepRunner& normalizer);

  enum class Where : std::uint8_t { RawText, NormalizedText };
  /// Calls `on_text` for each stretch between tokens, unless empty, and `on_token` for each token, in order; at each
  /// place the longest token wins. A control or unknown piece that wins is text all the same.
  void cut(std::string_view text, Where where, const std::function<void(std::string_view)>& on_text,
           const std::function<void(TokenId)>& on_token) const;
  /// The normalized text of a piece that is looked for in normalized text; nullptr of others.
  const std::string* normalized_text(TokenId token) const;

 private:
  struct Flags {
    bool takes_left = false, takes_right = false, is_word = false, is_text = false;
  };
  std::vector<PieceFinder::Entry> entries(const TokenizerDescription& description, const Vocabulary& vocabulary,
                                          const StepRunner& normalizer, bool normalized);

  std::unordered_map<TokenId, Flags> flags_;
  std::unordered_map<TokenId, std::string> normalized_texts_;
  PieceFinder raw_;
  PieceFinder normalized_;
};

}  // namespace heed
