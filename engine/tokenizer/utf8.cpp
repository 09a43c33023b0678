#include "tokenizer/utf8.h"

namespace heed {

// Well-formed byte sequences: Unicode 15, table 3-7. Only the second byte's range depends on the first.
ScannedCharacter scan_character(std::string_view text, std::size_t at) {
  using State = ScannedCharacter::State;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {State::Valid, 1};
  if (first < 0xC2 || first > 0xF4) return {State::Invalid, 1};
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first == 0xE0) low = 0xA0;   // overlong
  if (first == 0xED) high = 0x9F;  // surrogates
  if (first == 0xF0) low = 0x90;   // overlong
  if (first == 0xF4) high = 0x8F;  // beyond U+10FFFF
  for (std::size_t i = 1; i < size; ++i) {
    if (at + i == text.size()) return {State::Incomplete, i};
    if (byte(at + i) < low || byte(at + i) > high) return {State::Invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {State::Valid, size};
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const ScannedCharacter character = scan_character(text, at);
    if (character.state != ScannedCharacter::State::Valid) return at;
    at += character.size;
  }
  return text.size();
}

DecodedCharacter decode_character(std::string_view text, std::size_t at) {
  const std::size_t size = scan_character(text, at).size;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (size == 1) return {byte(0), 1};
  char32_t code = byte(0) & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) code = code << 6 | (byte(i) & 0x3Fu);
  return {code, size};
}

void append_utf8(char32_t code, std::string& text) {
  const auto add = [&](char32_t bits) { text += static_cast<char>(bits); };
  const auto add_next = [&](unsigned shift) { add(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add_next(6);
  } else {
    add(0xF0 | code >> 18);
    add_next(12);
    add_next(6);
  }
  add_next(0);
}

}  // namespace heed
