#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heed {

/// Unicode's normalization forms.
enum class NormalForm : std::uint8_t { Nfc, Nfd, Nfkc, Nfkd };

/// Valid UTF-8 in a normalization form, in O(n log n) steps.
std::string normalized(std::string_view text, NormalForm form);
/// Each character's lower case, without regard to its neighbours.
std::string lower_characters(std::string_view text);
/// Whether a regular expression's \w matches: letters, marks, decimal digits, letters that are numbers, connectors and
/// joiners.
bool is_word_character(char32_t character);

/// The character at text[at], of valid UTF-8; at < text.size().
char32_t code_point_at(std::string_view text, std::size_t at);
/// Where the character before text[at] begins; at > 0.
std::size_t character_before(std::string_view text, std::size_t at);

}  // namespace heed
