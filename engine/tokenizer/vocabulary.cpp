#include "tokenizer/vocabulary.h"

#include <charconv>

#include "tokenizer/utf8.h"

namespace heed {
namespace {

// The byte that a character of GPT-2's byte alphabet stands for. Its characters are U+0021 to U+0143, so at most two
// bytes of UTF-8.
std::optional<char> alphabet_byte(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() > 2) return std::nullopt;
  const unsigned code_point = character.size() == 1 ? byte(0) : (byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
  const auto stands_for_itself = [](unsigned code) {
    return (code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xAC) || (code >= 0xAE && code <= 0xFF);
  };
  if (stands_for_itself(code_point)) return static_cast<char>(code_point);
  // The others, in ascending order, are U+0100 and up: 0x00-0x20, 0x7F-0xA0, 0xAD.
  if (code_point < 0x100 || code_point > 0x143) return std::nullopt;
  const unsigned index = code_point - 0x100;
  if (index <= 0x20) return static_cast<char>(index);
  if (index <= 0x42) return static_cast<char>(index - 0x21 + 0x7F);
  return static_cast<char>(0xAD);
}

std::optional<std::string> from_alphabet(std::string_view piece) {
  std::string bytes;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t size = scan_character(piece, at).size;
    const std::optional<char> byte = alphabet_byte(piece.substr(at, size));
    if (!byte) return std::nullopt;
    bytes += *byte;
    at += size;
  }
  return bytes;
}

unsigned char value_of_byte_piece(std::string_view piece) {
  unsigned value = 0;
  std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return static_cast<unsigned char>(value);
}

}  // namespace

Vocabulary::Vocabulary(const TokenizerDescription& description)
    : kinds_(description.kinds),
      bytes_(description.pieces),
      mergeable_(description.pieces.size()),
      unknown_(description.unknown()),
      escape_spaces_(description.escape_spaces) {
  byte_pieces_.fill(-1);
  std::vector<bool> spells(size());
  for (std::size_t id = 0; id < size(); ++id) {
    const PieceKind kind = kinds_[id];
    std::string& bytes = bytes_[id];
    spells[id] = kind == PieceKind::Normal || kind == PieceKind::UserDefined || kind == PieceKind::Unused;
    if (description.alphabet == TokenizerDescription::Alphabet::Bytes &&
        (kind == PieceKind::Normal || kind == PieceKind::Unused)) {
      std::optional<std::string> converted = from_alphabet(bytes);
      spells[id] = converted.has_value();
      if (converted) bytes = std::move(*converted);
    }
    if (kind == PieceKind::Byte) {
      TokenId& piece = byte_pieces_[value_of_byte_piece(bytes)];
      if (piece < 0) piece = static_cast<TokenId>(id);
    }
  }
  for (const TokenId id : description.apart) spells[static_cast<std::size_t>(id)] = false;
  ids_.reserve(size());
  for (const bool unused : {false, true}) {
    for (std::size_t id = 0; id < size(); ++id) {
      if (!spells[id] || bytes_[id].empty() || (kinds_[id] == PieceKind::Unused) != unused) continue;
      mergeable_[id] = ids_.emplace(bytes_[id], static_cast<TokenId>(id)).second;
    }
  }
}

std::string Vocabulary::decoded(TokenId id) const {
  switch (kind(id)) {
    case PieceKind::Control:
    case PieceKind::Unknown:
      return {};
    case PieceKind::Byte:
      return std::string(1, static_cast<char>(value_of_byte_piece(bytes(id))));
    case PieceKind::Normal:
    case PieceKind::UserDefined:
    case PieceKind::Unused:
      break;
  }
  std::string text = bytes(id);
  if (!escape_spaces_) return text;
  for (std::size_t at = 0; (at = text.find(kEscapedSpace, at)) != std::string::npos; ++at) {
    text.replace(at, kEscapedSpace.size(), 1, ' ');
  }
  return text;
}

std::optional<TokenId> Vocabulary::find(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::optional<TokenId> Vocabulary::byte_piece(unsigned char byte) const {
  const TokenId id = byte_pieces_[byte];
  if (id < 0) return std::nullopt;
  return id;
}

}  // namespace heed
