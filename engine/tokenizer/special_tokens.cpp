#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <numeric>

#include "tokenizer/normalize.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

bool begins_with_word(std::string_view text) { return !text.empty() && is_word_character(code_point_at(text, 0)); }

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word_character(code_point_at(text, character_before(text, text.size())));
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)), begins_(257) {
  std::erase_if(tokens_, [](const SpecialToken& token) { return token.text.empty(); });
  std::ranges::stable_sort(tokens_, {}, &SpecialToken::text);
  const auto same = [](const SpecialToken& a, const SpecialToken& b) { return a.text == b.text; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());  // of equal ones the first counts
  for (const SpecialToken& token : tokens_) ++begins_[static_cast<unsigned char>(token.text[0]) + 1u];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

// Narrows the sorted tokens byte by byte to those with which the text goes on.
void SpecialTokens::each_at(std::string_view text, std::size_t at, const auto& on_token) const {
  if (tokens_.empty()) return;
  const auto first = static_cast<unsigned char>(text[at]);
  auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(begins_[first]);
  auto end = tokens_.begin() + static_cast<std::ptrdiff_t>(begins_[first + 1u]);
  for (std::size_t size = 1; begin != end; ++size) {
    // All of [begin, end) start with these `size` bytes; one that has no more comes first.
    if (begin->text.size() == size) on_token(*begin++);
    if (at + size == text.size()) break;
    const auto next = static_cast<unsigned char>(text[at + size]);
    const auto byte = [&](const SpecialToken& token) { return static_cast<unsigned char>(token.text[size]); };
    begin = std::partition_point(begin, end, [&](const SpecialToken& token) { return byte(token) < next; });
    end = std::partition_point(begin, end, [&](const SpecialToken& token) { return byte(token) == next; });
  }
}

void SpecialTokens::cut(std::string_view text, const Specials& specials,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(TokenId)>& on_token) const {
  std::size_t done = 0;
  auto plain = specials.plain.begin();
  for (std::size_t at = 0; at < text.size();) {
    while (plain != specials.plain.end() && plain->end <= at) ++plain;
    // Where what is no special token begins.
    const std::size_t limit = plain == specials.plain.end() ? text.size() : std::max(plain->begin, at);
    const SpecialToken* token = nullptr;
    bool lies_in_two = false;
    each_at(text, at, [&](const SpecialToken& one) {
      const bool is_mark = one.special || std::ranges::binary_search(specials.marks, one.id);
      const bool forbidden = is_mark && at + one.text.size() > limit;
      if (forbidden && one.in_stretches) lies_in_two = true;
      if (!forbidden && one.in_raw_text) token = &one;
    });
    if (token == nullptr) {
      const std::size_t next = at + scan_character(text, at).size;
      if (lies_in_two) {
        on_text(text.substr(done, next - done));
        done = next;
      }
      at = next;
      continue;
    }
    std::size_t end = at + token->text.size();
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

std::vector<SpelledToken> SpecialTokens::spelled(std::string_view text) const {
  std::vector<SpelledToken> found;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const SpecialToken* longest = nullptr;
    each_at(text, at, [&](const SpecialToken& one) { longest = &one; });
    if (longest != nullptr) found.push_back({at, at + longest->text.size(), longest->id, longest->special});
  }
  return found;
}

}  // namespace heed
