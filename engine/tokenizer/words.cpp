#include "tokenizer/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "heed/error.h"
#include "tokenizer/normalize.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/text_check.h"
#include "tokenizer/utf8.h"
#include "tokenizer/word_text.h"

namespace heed {
namespace {

// Fit for a message: on one line, cut when long.
std::string shown_word(std::string_view word) {
  constexpr std::size_t kLongest = 60;
  std::string shown;
  for (std::size_t at = 0; at < word.size() && at < kLongest;) {
    const std::size_t size = scan_character(word, at).size;
    const auto first = static_cast<unsigned char>(word[at]);
    shown += first < 0x20 || first == 0x7F ? fmt::format("\\x{:02X}", first) : std::string(word.substr(at, size));
    at += size;
  }
  return shown + (word.size() > kLongest ? "..." : "");
}

class WordTokenizer final : public Tokenizer {
 public:
  explicit WordTokenizer(const WordVocabulary& vocabulary) : vocabulary_(vocabulary) {
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      const auto token = static_cast<TokenId>(id);
      // Text that spells a special token is text.
      if (!is_special(token)) ids_.emplace(vocabulary.tokens[id], token);
    }
    std::vector<SpecialToken> specials;
    for (const auto& id : {vocabulary.unknown, vocabulary.begin, vocabulary.end, vocabulary.pad}) {
      if (id) specials.push_back({vocabulary.tokens[static_cast<std::size_t>(*id)], *id});
    }
    specials_ = SpecialTokens(std::move(specials));
    if (vocabulary.begin && vocabulary.add_begin) before_ = {*vocabulary.begin};
    if (vocabulary.end && vocabulary.add_end) after_ = {*vocabulary.end};
    if (vocabulary.end) end_ = {*vocabulary.end};
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special, const Specials& specials) const override {
    check_text(text);
    std::vector<TokenId> ids;
    if (add_special) ids = before_;
    if (specials.parse) {
      specials_.cut(
          text, specials, [&](std::string_view stretch) { add_text(stretch, ids); },
          [&](TokenId token) { ids.push_back(token); });
    } else {
      add_text(text, ids);
    }
    if (add_special) ids.insert(ids.end(), after_.begin(), after_.end());
    return ids;
  }
  std::vector<SpelledToken> spelled(std::string_view text) const override { return specials_.spelled(text); }

  std::string piece(TokenId token) const override {
    if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_.tokens.size()) {
      throw Error(fmt::format("there is no token {}: the vocabulary has {}", token, vocabulary_.tokens.size()));
    }
    if (is_special(token)) return {};
    const std::string& text = vocabulary_.tokens[static_cast<std::size_t>(token)];
    return vocabulary_.unit == WordVocabulary::Unit::Words ? ' ' + text : text;
  }

  std::string decode(const std::vector<TokenId>& tokens) const override {
    std::string text;
    for (const TokenId token : tokens) text += piece(token);
    if (vocabulary_.unit == WordVocabulary::Unit::Words && !text.empty()) text.erase(0, 1);
    return text;
  }

  const std::vector<TokenId>& end_tokens() const override { return end_; }
  std::size_t vocabulary_size() const override { return vocabulary_.tokens.size(); }
  const std::vector<TokenId>& before() const override { return before_; }
  const std::vector<TokenId>& after() const override { return after_; }
  const std::map<std::string, TokenId>& languages() const override { return languages_; }
  std::optional<TokenId> begin_token() const override { return vocabulary_.begin; }
  std::optional<TokenId> unknown_token() const override { return vocabulary_.unknown; }

 private:
  void add_text(std::string_view text, std::vector<TokenId>& ids) const {
    std::string changed(text);
    if (vocabulary_.pytorch_tutorial) changed = tutorial_text(changed, ids_.contains("."));
    if (vocabulary_.lower_case) changed = lower_case(changed);
    if (vocabulary_.unit == WordVocabulary::Unit::Characters) {
      for (std::size_t at = 0; at < changed.size();) {
        const std::size_t size = scan_character(changed, at).size;
        ids.push_back(id_of(changed.substr(at, size)));
        at += size;
      }
    } else {
      for (const std::string_view word : words_of(changed)) ids.push_back(id_of(std::string(word)));
    }
  }

  bool is_special(TokenId token) const {
    const std::optional<TokenId> special[] = {vocabulary_.begin, vocabulary_.end, vocabulary_.pad};
    return std::ranges::find(special, std::optional(token)) != std::end(special);
  }

  TokenId id_of(const std::string& text) const {
    if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
    if (vocabulary_.unknown) return *vocabulary_.unknown;
    const bool words = vocabulary_.unit == WordVocabulary::Unit::Words;
    throw Error(
        fmt::format("cannot encode the text: the {} '{}' is not in the vocabulary, which has no token for unknown "
                    "ones; leave it out",
                    words ? "word" : "character", shown_word(text)));
  }

  const WordVocabulary vocabulary_;
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<TokenId> before_, after_, end_;
  const std::map<std::string, TokenId> languages_;
  SpecialTokens specials_;
};

}  // namespace

void WordVocabulary::validate(const std::string& name) const {
  constexpr std::size_t kMostTokens = 1 << 24;
  constexpr std::size_t kLongestToken = 1024;
  if (tokens.empty() || tokens.size() > kMostTokens) {
    throw Error(fmt::format("{}: {} tokens, expected 1 to {}", name, tokens.size(), kMostTokens));
  }
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    if (token.empty() || token.size() > kLongestToken || find_invalid_utf8(token) != token.size()) {
      throw Error(
          fmt::format("{}: token {} is empty, longer than {} bytes or not valid UTF-8", name, id, kLongestToken));
    }
    if (const auto [first, added] = ids.emplace(token, id); !added) {
      throw Error(fmt::format("{}: token '{}' has the ids {} and {}", name, shown_word(token), first->second, id));
    }
  }
  std::set<TokenId> special;
  for (const std::optional<TokenId>& id : {unknown, begin, end, pad}) {
    if (!id) continue;
    if (*id < 0 || static_cast<std::size_t>(*id) >= tokens.size()) {
      throw Error(fmt::format("{}: a special token has the id {}, but there are {} tokens", name, *id, tokens.size()));
    }
    // Begin and end are one token in some models, as in GPT-2.
    if (!special.insert(*id).second && (unknown == id || pad == id)) {
      throw Error(fmt::format("{}: token '{}' is named for two purposes", name,
                              shown_word(tokens[static_cast<std::size_t>(*id)])));
    }
  }
  if (lower_case && pytorch_tutorial) {
    throw Error(fmt::format("{}: 'lower_case' is part of \"normalize\": \"pytorch-tutorial\"; leave it out", name));
  }
}

std::unique_ptr<Tokenizer> make_word_tokenizer(const WordVocabulary& vocabulary) {
  vocabulary.validate("tokenizer.json");
  return std::make_unique<WordTokenizer>(vocabulary);
}

}  // namespace heed
