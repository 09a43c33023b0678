#include "formats/token_text.h"

#include <fmt/format.h>
#include <glib.h>

#include <cstdint>

namespace heed {
namespace {

constexpr char32_t kEscapedByte = 0xDC00;  // and the byte, which is 0x80 or more

/// Takes the first character off a text.
char32_t take_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  std::size_t size = 1;
  char32_t character = first;
  if (first >= 0x80) {
    const gunichar found = g_utf8_get_char_validated(text.data(), static_cast<gssize>(text.size()));
    if (found > 0x10FFFF) {  // -1 or -2: no character, or not all of one
      character = kEscapedByte + first;
    } else {
      character = found;
      size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    }
  }
  text.remove_prefix(size);
  return character;
}

bool is_hidden(char32_t character) {
  constexpr char32_t kNonJoiner = 0x200C, kJoiner = 0x200D;  // parts of letters in some scripts, and of emoji
  switch (g_unichar_type(character)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_UNASSIGNED:
      return true;
    case G_UNICODE_FORMAT:
      return character != kNonJoiner && character != kJoiner;
    default:
      return false;
  }
}

}  // namespace

std::string visible_token(std::string_view token) {
  std::string shown;
  while (!token.empty()) {
    const std::string_view before = token;
    const char32_t character = take_character(token);
    if (character == ' ') {
      shown += "\u2581";
    } else if (character == '\n') {
      shown += "\\n";
    } else if (character == '\t') {
      shown += "\\t";
    } else if (character >= kEscapedByte && character < kEscapedByte + 0x100) {
      shown += fmt::format("\\x{:02X}", static_cast<std::uint32_t>(character - kEscapedByte));
    } else if (is_hidden(character)) {
      const auto code = static_cast<std::uint32_t>(character);
      shown += code < 0x100 ? fmt::format("\\x{:02X}", code) : fmt::format("\\u{:04X}", code);
    } else {
      shown += before.substr(0, before.size() - token.size());
    }
  }
  return shown.empty() ? "(empty)" : shown;
}

std::u32string code_points(std::string_view text) {
  std::u32string characters;
  while (!text.empty()) characters += take_character(text);
  return characters;
}

}  // namespace heed
