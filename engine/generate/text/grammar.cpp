#include <fmt/format.h>

#include "generate/text/model_state.h"
#include "grammar/grammars.h"
#include "heed/error.h"

namespace heed {

std::shared_ptr<TokenConstraint> TextModel::State::constrain(grammar::Grammars::Format format, std::string_view text,
                                                             std::span<const std::int32_t> end) {
  if (grammars == nullptr) {
    throw Error(fmt::format("{}: a grammar constrains texts, but the model has no tokenizer; convert it again with it",
                            file.path().string()));
  }
  std::vector<std::int32_t> ends = end_tokens;
  ends.insert(ends.end(), end.begin(), end.end());
  return grammars->constrain(format, text, std::move(ends));
}

std::shared_ptr<TokenConstraint> TextModel::grammar(std::string_view gbnf, std::span<const std::int32_t> end) const {
  return state_->constrain(grammar::Grammars::Format::Gbnf, gbnf, end);
}

std::shared_ptr<TokenConstraint> TextModel::json_schema(std::string_view schema,
                                                        std::span<const std::int32_t> end) const {
  return state_->constrain(grammar::Grammars::Format::JsonSchema, schema, end);
}

}  // namespace heed
