#include "tokenizer/subword_model.h"

#include "tokenizer/normalize.h"

namespace heed {

SubwordModel::SubwordModel(const TokenizerDescription& description, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), flags_(flags_of(description)), has_steps_(description.steps.has_value()) {
  using Merging = TokenizerDescription::Merging;
  switch (description.merging) {
    case Merging::Unigram:
      unigram_ = std::make_unique<Unigram>(description, vocabulary);
      break;
    case Merging::WordPieces:
    case Merging::Words:
      words_ = std::make_unique<WordPieces>(description, vocabulary);
      break;
    case Merging::None:
    case Merging::Scores:
    case Merging::Ranks:
      table_ = std::make_unique<MergeTable>(description, vocabulary);
      break;
  }
}

SubwordModel::Work::Work(const SubwordModel& model, std::vector<std::string>* unknown_texts)
    : model_(model), speller_(model.vocabulary_, model.flags_.fuse_unknown, unknown_texts) {
  if (model.table_ == nullptr) return;
  merger_ = std::make_unique<Merger>(model.vocabulary_, *model.table_, model.flags_, unknown_texts);
}

void SubwordModel::Work::encode(std::string_view stretch, std::vector<TokenId>& ids) {
  if (model_.flags_.whole_pieces_first) {
    const std::optional<TokenId> whole = model_.vocabulary_.find(stretch);
    // To Hugging Face an added token is one more piece, where the model has it.
    const auto can_be = [&](PieceKind kind) {
      return kind == PieceKind::Normal || (model_.has_steps_ && kind == PieceKind::UserDefined);
    };
    if (whole && can_be(model_.vocabulary_.kind(*whole))) {
      ids.push_back(*whole);
      return;
    }
  }
  if (model_.unigram_ != nullptr) {
    model_.unigram_->encode(stretch, speller_, ids);
  } else if (model_.words_ != nullptr) {
    model_.words_->encode(stretch, speller_, ids);
  } else {
    merger_->encode(stretch, ids);
  }
}

}  // namespace heed
