#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/description.h"
#include "tokenizer/merge.h"
#include "tokenizer/spell.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_pieces.h"

namespace heed {

/// What makes ids of one stretch of normalized text: the merging that a description asks for. Immutable; refers to the
/// vocabulary.
class SubwordModel {
 public:
  SubwordModel(const TokenizerDescription& description, const Vocabulary& vocabulary);

  /// The working memory of one encoding, on one thread. `unknown_texts`, if given, gets what stands behind each unknown
  /// piece. Must not outlive the model.
  class Work {
   public:
    explicit Work(const SubwordModel& model, std::vector<std::string>* unknown_texts = nullptr);
    /// Appends the ids of a stretch. Throws Error when it cannot be spelled.
    void encode(std::string_view stretch, std::vector<TokenId>& ids);

   private:
    const SubwordModel& model_;
    Speller speller_;
    std::unique_ptr<Merger> merger_;
  };

 private:
  const Vocabulary& vocabulary_;
  const TokenizerDescription flags_;
  const bool has_steps_;
  std::unique_ptr<const MergeTable> table_;  // of these three one
  std::unique_ptr<const Unigram> unigram_;
  std::unique_ptr<const WordPieces> words_;
};

}  // namespace heed
