#include "tokenizer/word_pieces.h"

#include <algorithm>

#include "tokenizer/description.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace heed {

WordPieces::WordPieces(const TokenizerDescription& description, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      whole_words_(description.merging == TokenizerDescription::Merging::Words),
      continuing_prefix_(description.continuing_prefix),
      most_characters_(description.most_characters) {
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    longest_ = std::max(longest_, vocabulary.bytes(static_cast<TokenId>(id)).size());
  }
}

void WordPieces::encode(std::string_view word, Speller& speller, std::vector<TokenId>& ids) const {
  speller.begin(word);
  const std::size_t before = ids.size();
  if (spell(word, speller, ids)) return;
  ids.resize(before);
  speller.add_unspelled(word, ids);
}

bool WordPieces::spell(std::string_view word, Speller& speller, std::vector<TokenId>& ids) const {
  const auto can_be = [&](std::optional<TokenId> piece) {
    return piece &&
           (vocabulary_.kind(*piece) == PieceKind::Normal || vocabulary_.kind(*piece) == PieceKind::UserDefined);
  };
  if (whole_words_) {
    const std::optional<TokenId> piece = vocabulary_.find(word);
    if (!can_be(piece)) return false;
    speller.add(*piece, ids);
    return true;
  }
  std::size_t characters = 0;
  for (std::size_t at = 0; at < word.size(); at += scan_character(word, at).size) {
    if (++characters > most_characters_) return false;
  }
  for (std::size_t begin = 0; begin < word.size();) {
    const std::string prefix = begin > 0 ? continuing_prefix_ : std::string();
    std::size_t end = begin + std::min(longest_, word.size() - begin);
    while (end < word.size() && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80) --end;
    std::optional<TokenId> piece;
    for (; end > begin; end = character_before(word, end)) {
      piece = vocabulary_.find(prefix + std::string(word.substr(begin, end - begin)));
      if (can_be(piece)) break;
    }
    if (end <= begin) return false;
    speller.add(*piece, ids);
    begin = end;
  }
  return true;
}

}  // namespace heed
