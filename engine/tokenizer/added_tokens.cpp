#include "tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tokenizer/normalize.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

constexpr std::size_t kMostBytesOfAdded = 64 << 10;  // normalizing may make a piece longer

bool has_word_before(std::string_view text, std::size_t at) {
  return at > 0 && is_word_character(code_point_at(text, character_before(text, at)));
}

bool has_word_behind(std::string_view text, std::size_t at) {
  return at < text.size() && is_word_character(code_point_at(text, at));
}

}  // namespace

AddedTokens::AddedTokens(const TokenizerDescription& description, const Vocabulary& vocabulary,
                         const StepRunner& normalizer)
    : raw_(entries(description, vocabulary, normalizer, false)),
      normalized_(entries(description, vocabulary, normalizer, true)) {
  for (const TokenId id : description.left_space) flags_[id].takes_left = true;
  for (const TokenId id : description.right_space) flags_[id].takes_right = true;
  for (const TokenId id : description.whole_words) flags_[id].is_word = true;
  for (std::size_t id = 0; id < description.kinds.size(); ++id) {
    const PieceKind kind = description.kinds[id];
    if (kind == PieceKind::Control || kind == PieceKind::Unknown) flags_[static_cast<TokenId>(id)].is_text = true;
  }
}

std::vector<PieceFinder::Entry> AddedTokens::entries(const TokenizerDescription& description,
                                                     const Vocabulary& vocabulary, const StepRunner& normalizer,
                                                     bool normalized) {
  std::vector<PieceFinder::Entry> entries;
  StepRunner::Work work(normalizer);
  // Of two that normalizing makes equal a special one comes first.
  for (const bool special : {true, false}) {
    for (std::size_t index = 0; index < description.kinds.size(); ++index) {
      const auto id = static_cast<TokenId>(index);
      const PieceKind kind = description.kinds[index];
      if (kind == PieceKind::Unknown && description.show_unknown) continue;  // a piece as any other
      const bool is_special = kind == PieceKind::Control || kind == PieceKind::Unknown;
      if (is_special != special || (!is_special && kind != PieceKind::UserDefined)) continue;
      if (std::ranges::binary_search(description.normalized, id) != normalized) continue;
      const std::string& name = vocabulary.bytes(id);
      if (name.empty()) continue;
      if (!normalized) {
        entries.push_back({name, id});
        continue;
      }
      const auto stretches = work.run({name, scan_character(name, 0).size});
      if (stretches.empty() || stretches.front().text.size() > kMostBytesOfAdded) {
        throw Error(
            fmt::format("tokenizer.json: normalizing leaves nothing or too much of the added piece {}, '{}'; "
                        "convert the model again",
                        id, name));
      }
      entries.push_back({std::string(stretches.front().text), id});
      normalized_texts_[id] = entries.back().bytes;
    }
  }
  return entries;
}

const std::string* AddedTokens::normalized_text(TokenId token) const {
  const auto found = normalized_texts_.find(token);
  return found == normalized_texts_.end() ? nullptr : &found->second;
}

void AddedTokens::cut(std::string_view text, Where where, const std::function<void(std::string_view)>& on_text,
                      const std::function<void(TokenId)>& on_token) const {
  const PieceFinder& finder = where == Where::RawText ? raw_ : normalized_;
  std::size_t done = 0;
  for (std::size_t at = 0; finder.finds_any() && at < text.size();) {
    TokenId token = 0;
    const std::size_t size = finder.longest_at(text, at, token);
    if (size == 0) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + size;
    at = end;
    const auto found = flags_.find(token);
    const Flags flags = found == flags_.end() ? Flags() : found->second;
    if (flags.is_text) continue;
    if (flags.is_word && (has_word_before(text, begin) || has_word_behind(text, end))) continue;
    if (flags.takes_left && begin > done) {
      begin = done + trim_white_space(text.substr(done, begin - done), false, true).size();
    }
    if (flags.takes_right) end = text.size() - trim_white_space(text.substr(end), true, false).size();
    if (begin > done) on_text(text.substr(done, begin - done));
    on_token(token);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace heed
