#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/matcher.h"
#include "heed/error.h"

namespace heed {

TokenConstraint::~TokenConstraint() = default;

namespace grammar {
namespace {

class GrammarConstraint final : public TokenConstraint {
 public:
  GrammarConstraint(std::shared_ptr<Matcher> matcher, std::vector<TokenId> end_tokens)
      : matcher_(std::move(matcher)), end_tokens_(std::move(end_tokens)), place_(*matcher_) {
    if (end_tokens_.empty()) {
      throw Error(
          "grammar: the model has no end token, with which a text that is complete ends; say one as eos_token_id "
          "in its config.json and convert it again");
    }
    for (const TokenId token : end_tokens_) {
      if (token >= 0 && static_cast<std::size_t>(token) < matcher_->trie().vocabulary_size()) continue;
      throw Error(fmt::format("grammar: the end token {} is outside the tokenizer's vocabulary of {}", token,
                              matcher_->trie().vocabulary_size()));
    }
  }

  void allowed(std::span<std::uint32_t> mask) override {
    const std::size_t size = (matcher_->trie().vocabulary_size() + 31) / 32;
    if (mask.size() < size) {
      throw Error(fmt::format("a mask of {} words was given for a vocabulary of {} tokens, expected at least {}",
                              mask.size(), matcher_->trie().vocabulary_size(), size));
    }
    bool complete = true;
    if (ended_) {
      std::ranges::fill(mask, 0u);
    } else {
      complete = matcher_->allowed(place_, mask);
    }
    for (const TokenId token : end_tokens_) {
      std::uint32_t& word = mask[static_cast<std::size_t>(token) / 32];
      const std::uint32_t bit = std::uint32_t{1} << (static_cast<std::uint32_t>(token) % 32);
      word = complete ? word | bit : word & ~bit;
    }
    if (complete || std::ranges::any_of(mask, [](std::uint32_t word) { return word != 0; })) return;
    throw Error("grammar: the text cannot go on: the vocabulary has no token for any character that may come next");
  }

  void accept(TokenId token) override {
    if (std::ranges::find(end_tokens_, token) != end_tokens_.end()) {
      if (!ended_ && !matcher_->complete(place_)) fail(token, "the text is not complete");
      ended_ = true;
      return;
    }
    if (ended_) fail(token, "the text has ended");
    if (token < 0 || static_cast<std::size_t>(token) >= matcher_->trie().vocabulary_size()) {
      fail(token, "it is outside the vocabulary");
    }
    const std::string_view bytes = matcher_->trie().bytes(token);
    if (bytes.empty()) fail(token, "it has no text");
    if (!matcher_->accept(place_, bytes)) fail(token, "its text may not come next");
  }

 private:
  [[noreturn]] static void fail(TokenId token, std::string_view reason) {
    throw Error(fmt::format("the grammar does not allow token {} here: {}", token, reason));
  }

  const std::shared_ptr<Matcher> matcher_;
  const std::vector<TokenId> end_tokens_;
  Matcher::Place place_;
  bool ended_ = false;
};

}  // namespace

std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<Matcher> matcher, std::vector<TokenId> end_tokens) {
  return std::make_shared<GrammarConstraint>(std::move(matcher), std::move(end_tokens));
}

}  // namespace grammar
}  // namespace heed
