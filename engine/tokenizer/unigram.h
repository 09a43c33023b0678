#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/spell.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// Unigram segmentation (Kudo 2018, "Subword Regularization"): of all ways to cut a text into pieces, the one with the
/// highest sum of scores, which are logarithms of probabilities. Sums are rounded as SentencePiece rounds them, or with
/// `double_scores` as Hugging Face's tokenizers does, so that ties and near ties end as there. Immutable; refers to the
/// vocabulary.
class Unigram {
 public:
  Unigram(const TokenizerDescription& description, const Vocabulary& vocabulary);
  /// Appends the ids of `stretch`, valid UTF-8 of less than 2^31 bytes, in O(n) steps for pieces of bounded length.
  /// Throws Error when a part of it has neither a piece nor byte pieces and there is no unknown piece.
  void encode(std::string_view stretch, Speller& speller, std::vector<TokenId>& ids) const;

 private:
  struct Node {
    double score = 0;          // of the best way to here
    std::int32_t begin = -1;   // where its last piece begins; -1: no way leads here
    TokenId piece = kNoPiece;  // that piece
  };
  static constexpr TokenId kNoPiece = -1;
  void reach(Node& node, double score, std::size_t begin, TokenId piece) const;

  const Vocabulary& vocabulary_;
  const bool double_scores_;
  std::vector<double> scores_;       // of every piece
  std::vector<TokenId> pieces_;      // that text is cut into, by bytes
  std::vector<std::size_t> begins_;  // those whose first byte is b are [begins_[b], begins_[b + 1])
  double unknown_score_ = 0;         // of a character that is no piece
};

}  // namespace heed
