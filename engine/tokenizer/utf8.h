#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace heed {

/// What begins at a place of a text that should be UTF-8.
struct ScannedCharacter {
  enum class State : unsigned char {
    Valid,       // a character of `size` bytes
    Invalid,     // `size` bytes that one U+FFFD replaces (a "maximal subpart", Unicode 15, section 3.9)
    Incomplete,  // the text ends after the first `size` bytes of a character
  };
  State state;
  std::size_t size;  // 1 to 4
};

/// Looks at text[at] and, if it needs them, up to three bytes after it; `at` < text.size(). Overlong forms, surrogates
/// and code points beyond U+10FFFF are invalid.
ScannedCharacter scan_character(std::string_view text, std::size_t at);

/// The offset of the first byte that is not part of a valid character, text.size() when all are.
std::size_t find_invalid_utf8(std::string_view text);

/// A code point of a valid text and how many bytes it takes.
struct DecodedCharacter {
  char32_t code = 0;
  std::size_t size = 0;
};
DecodedCharacter decode_character(std::string_view text, std::size_t at);
void append_utf8(char32_t code, std::string& text);

}  // namespace heed
