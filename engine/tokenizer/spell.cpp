#include "tokenizer/spell.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {

/// " of 'x'" for the character that the bytes are or belong to; nothing where it cannot be printed.
std::string Speller::of_character(std::string_view bytes) const {
  // A byte of the text belongs to the character that begins at or before it.
  if (bytes.data() >= stretch_.data() && bytes.data() < stretch_.data() + stretch_.size()) {
    auto at = static_cast<std::size_t>(bytes.data() - stretch_.data());
    while (at > 0 && (static_cast<unsigned char>(stretch_[at]) & 0xC0) == 0x80) --at;
    bytes = stretch_.substr(at);
  }
  const ScannedCharacter character = scan_character(bytes, 0);
  if (character.state != ScannedCharacter::State::Valid) return "";
  bytes = bytes.substr(0, character.size);
  const auto first = static_cast<unsigned char>(bytes.front());
  return first < 0x20 || first == 0x7F ? "" : fmt::format(" of '{}'", bytes);
}

void Speller::add_unspelled(std::string_view bytes, std::vector<TokenId>& ids) {
  const std::size_t before = ids.size();
  for (const char byte : bytes) {
    const std::optional<TokenId> piece = vocabulary_.byte_piece(static_cast<unsigned char>(byte));
    if (!piece) break;
    ids.push_back(*piece);
  }
  if (ids.size() - before == bytes.size()) {
    after_unknown_ = false;
    return;
  }
  ids.resize(before);
  if (!vocabulary_.unknown()) {
    std::string hexadecimal;
    for (const char byte : bytes) hexadecimal += fmt::format(" {:02X}", static_cast<unsigned char>(byte));
    throw Error(
        fmt::format("cannot encode the text: the vocabulary has no piece for the bytes{}{} and no unknown piece; "
                    "leave that character out",
                    hexadecimal, of_character(bytes)));
  }
  const bool joins = fuse_unknown_ && after_unknown_;
  if (!joins) ids.push_back(*vocabulary_.unknown());
  if (unknown_texts_ != nullptr) {
    if (!joins) unknown_texts_->emplace_back();
    unknown_texts_->back() += bytes;
  }
  after_unknown_ = true;
}

}  // namespace heed
