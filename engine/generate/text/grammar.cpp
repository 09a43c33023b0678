#include <fmt/format.h>

#include "generate/text/model_state.h"
#include "grammar/grammars.h"
#include "heed/error.h"

namespace heed {

struct TextGrammars::State {
  State(std::shared_ptr<const Tokenizer> of, std::vector<std::int32_t> end, std::filesystem::path path)
      : tokenizer(std::move(of)), end_tokens(std::move(end)), file(std::move(path)) {
    if (tokenizer != nullptr) grammars.emplace(*tokenizer);
  }

  std::shared_ptr<TokenConstraint> constrain(grammar::Grammars::Format format, std::string_view text,
                                             std::span<const std::int32_t> end) {
    if (!grammars) {
      throw Error(fmt::format(
          "{}: a grammar constrains texts, but the model has no tokenizer; convert it again with it", file.string()));
    }
    std::vector<std::int32_t> ends = end_tokens;
    ends.insert(ends.end(), end.begin(), end.end());
    return grammars->constrain(format, text, std::move(ends));
  }

  const std::shared_ptr<const Tokenizer> tokenizer;
  const std::vector<std::int32_t> end_tokens;
  const std::filesystem::path file;
  std::optional<grammar::Grammars> grammars;  // none without a tokenizer
};

TextGrammars TextModel::State::make_grammars() const {
  return TextGrammars(std::make_shared<TextGrammars::State>(tokenizer, end_tokens, file.path()));
}

std::shared_ptr<TokenConstraint> TextGrammars::grammar(std::string_view gbnf, std::span<const std::int32_t> end) const {
  return state_->constrain(grammar::Grammars::Format::Gbnf, gbnf, end);
}

std::shared_ptr<TokenConstraint> TextGrammars::json_schema(std::string_view schema,
                                                           std::span<const std::int32_t> end) const {
  return state_->constrain(grammar::Grammars::Format::JsonSchema, schema, end);
}

TextGrammars TextModel::grammars() const { return *state_->grammars; }

std::shared_ptr<TokenConstraint> TextModel::grammar(std::string_view gbnf, std::span<const std::int32_t> end) const {
  return grammars().grammar(gbnf, end);
}

std::shared_ptr<TokenConstraint> TextModel::json_schema(std::string_view schema,
                                                        std::span<const std::int32_t> end) const {
  return grammars().json_schema(schema, end);
}

}  // namespace heed
