#include "tokenizer/special_tokens.h"

#include <algorithm>

#include "tokenizer/normalize.h"
#include "tokenizer/unicode.h"

namespace heed {
namespace {

bool begins_with_word(std::string_view text) { return !text.empty() && is_word_character(code_point_at(text, 0)); }

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word_character(code_point_at(text, character_before(text, text.size())));
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& text = tokens_[i].text;
    if (text.empty() || !by_text_.emplace(text, i).second) continue;  // of equal ones the first counts
    sizes_[static_cast<unsigned char>(text[0])].push_back(text.size());
  }
  for (std::vector<std::size_t>& sizes : sizes_) {
    std::ranges::sort(sizes, std::greater<>());
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  }
}

const SpecialToken* SpecialTokens::longest_at(std::string_view text, std::size_t at, bool only_special) const {
  for (const std::size_t size : sizes_[static_cast<unsigned char>(text[at])]) {
    if (size > text.size() - at) continue;
    const auto found = by_text_.find(text.substr(at, size));
    if (found != by_text_.end() && (tokens_[found->second].special || !only_special)) return &tokens_[found->second];
  }
  return nullptr;
}

void SpecialTokens::cut(std::string_view text, const std::vector<std::size_t>& plain,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(TokenId)>& on_token) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const SpecialToken* token = longest_at(text, at, false);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t end = at + token->text.size();
    const auto covered = std::ranges::lower_bound(plain, at);
    if (token->special && covered != plain.end() && *covered < end) {
      ++at;
      continue;
    }
    if (token->whole_word && (ends_with_word(text.substr(0, at)) || begins_with_word(text.substr(end)))) {
      at = end;
      continue;
    }
    std::size_t begin = at;
    if (token->strip_left) {
      begin = done + trim_white_space(text.substr(done, at - done), false, true).size();
    }
    if (token->strip_right) {
      end = text.size() - trim_white_space(text.substr(end), true, false).size();
    }
    if (begin > done) on_text(text.substr(done, begin - done));
    on_token(token->id);
    at = done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

std::vector<std::size_t> SpecialTokens::places(std::string_view text) const {
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (longest_at(text, at, true) != nullptr) places.push_back(at);
  }
  return places;
}

}  // namespace heed
