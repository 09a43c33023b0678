#include <algorithm>
#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/decode_steps.h"
#include "tokenizer/piece_tokenizer.h"
#include "tokenizer/step_runner.h"
#include "tokenizer/subword_model.h"
#include "tokenizer/text_check.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

// Added tokens of the raw text, then of what `normalize` makes of the text between them; what is left is cut into
// stretches and those into pieces.
class StepTokenizer final : public PieceTokenizer {
 public:
  explicit StepTokenizer(const TokenizerDescription& description)
      : PieceTokenizer(description),
        decode_(description.steps->decode),
        normalizer_(description.steps->normalize, description.charsmap),
        cutter_(description.steps->cut, description.charsmap),
        added_(description, vocabulary_, normalizer_),
        model_(description, vocabulary_) {}

  std::vector<TokenId> encode(std::string_view text, bool add_special, const Specials& specials) const override {
    check_text(text);
    std::vector<TokenId> ids;
    if (add_special) ids = flags_.before;
    // One of each for all stretches: the time that matching may take is that of the whole text.
    SubwordModel::Work model(model_);
    StepRunner::Work normalizer(normalizer_);
    StepRunner::Work cutter(cutter_);
    const auto add_token = [&](TokenId token) { ids.push_back(token); };
    const auto add_normalized = [&](std::string_view part, std::size_t begin) {
      for (const StepRunner::Stretch& stretch : cutter.run({part, begin})) model.encode(stretch.text, ids);
    };
    const auto add_raw = [&](std::string_view part) {
      const std::size_t first = part.data() == text.data() ? scan_character(text, 0).size : 0;
      for (const StepRunner::Stretch& whole : normalizer.run({part, first})) {
        added_.cut(
            whole.text, AddedTokens::Where::NormalizedText,
            [&](std::string_view stretch) {
              const auto at = static_cast<std::size_t>(stretch.data() - whole.text.data());
              add_normalized(stretch, std::min(stretch.size(), whole.begin - std::min(whole.begin, at)));
            },
            add_token);
      }
    };
    if (specials.parse) {
      cut_at_specials(text, specials, ids, add_raw);
    } else {
      added_.cut(text, AddedTokens::Where::RawText, add_raw, add_token);
    }
    if (add_special) ids.insert(ids.end(), flags_.after.begin(), flags_.after.end());
    return ids;
  }

  std::string piece(TokenId token) const override {
    check_token(token);
    if (!has_text(token)) return {};
    return decode_in_steps(decode_, {text_of(token)}, false);
  }

  std::string decode(const std::vector<TokenId>& tokens) const override {
    std::vector<std::string> texts;
    for (const TokenId token : tokens) {
      check_token(token);
      if (has_text(token)) texts.push_back(text_of(token));
    }
    return decode_in_steps(decode_, std::move(texts), true);
  }

 private:
  bool has_text(TokenId token) const {
    const PieceKind kind = vocabulary_.kind(token);
    return kind != PieceKind::Control && (kind != PieceKind::Unknown || flags_.show_unknown);
  }

  // What a token was found by is what it is decoded to.
  const std::string& text_of(TokenId token) const {
    const std::string* normalized = added_.normalized_text(token);
    return normalized == nullptr ? vocabulary_.bytes(token) : *normalized;
  }

  const std::vector<DecodeStep> decode_;
  const StepRunner normalizer_;
  const StepRunner cutter_;
  const AddedTokens added_;
  const SubwordModel model_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_step_tokenizer(const TokenizerDescription& description) {
  return std::make_unique<StepTokenizer>(description);
}

}  // namespace heed
