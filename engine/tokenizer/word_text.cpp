#include "tokenizer/word_text.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <array>
#include <memory>

#include "heed/error.h"
#include "tokenizer/normalize.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

// The Latin letters with marks, U+00C0 and U+1E00 onwards: the letter that is left of each when it is lower-cased and
// its marks are taken away (Unicode's canonical decomposition), "." where that is no letter from a to z.
constexpr std::string_view kBases00C0 =
    "aaaaaa.ceeeeiiii.nooooo..uuuuy..aaaaaa.ceeeeiiii.nooooo..uuuuy.yaaaaaaccccccccdd..eeeeeeeeeegggggggg"
    "hh..iiiiiiiii...jjkk.llllll....nnnnnn...oooooo..rrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzz........."
    "........................oo.............uu............................aaiioouuuuuuuuuu.aaaa....ggkkoo"
    "oo..j...gg..nnaa....aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy............................";
constexpr std::string_view kBases1E00 =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssss"
    "ssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeee"
    "iiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

struct MarkRange {
  char32_t first, last;
};
// Marks that combine with Latin letters, and variation selectors: nonspacing marks, which the tutorial drops.
constexpr std::array<MarkRange, 6> kMarks = {
    {{0x300, 0x36F}, {0x1AB0, 0x1ABD}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20DC}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}}};

bool is_mark(char32_t code) {
  return std::ranges::any_of(kMarks, [&](const MarkRange& range) { return code >= range.first && code <= range.last; });
}

// What the tutorial leaves of a character that is no mark: itself in lower case if it is ASCII, else '.' for nothing.
char tutorial_letter(char32_t code) {
  if (code >= 0xC0 && code - 0xC0 < kBases00C0.size()) return kBases00C0[code - 0xC0];
  if (code >= 0x1E00 && code - 0x1E00 < kBases1E00.size()) return kBases1E00[code - 0x1E00];
  if (code == 0x212A) return 'k';  // Kelvin
  if (code == 0x212B) return 'a';  // Angstrom
  return '.';
}

}  // namespace

std::string lower_case(std::string_view text) {
  // Not the locale of the program, which is "C" and knows ASCII only.
  const std::unique_ptr<std::remove_pointer_t<locale_t>, void (*)(locale_t)> unicode(
      ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr), [](locale_t locale) {
        if (locale != nullptr) ::freelocale(locale);
      });
  if (unicode == nullptr) throw Error("the vocabulary asks for lower case, but this system has no locale C.UTF-8");
  std::string lowered;
  for (std::size_t at = 0; at < text.size();) {
    const DecodedCharacter character = decode_character(text, at);
    append_utf8(static_cast<char32_t>(::towlower_l(static_cast<wint_t>(character.code), unicode.get())), lowered);
    at += character.size;
  }
  return lowered;
}

std::string tutorial_text(std::string_view text, bool keeps_full_stops) {
  text = trim_white_space(text, true, true);
  std::string kept;
  const auto add_space = [&] {
    if (!kept.ends_with(' ')) kept += ' ';
  };
  for (std::size_t at = 0; at < text.size();) {
    const DecodedCharacter character = decode_character(text, at);
    at += character.size;
    if (is_mark(character.code)) continue;
    char c = '.';
    const bool is_ascii = character.code < 0x80;
    if (is_ascii) {
      c = static_cast<char>(character.code);
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    } else {
      c = tutorial_letter(character.code);
    }
    const bool is_letter = c >= 'a' && c <= 'z';
    const bool is_sign = is_ascii && (c == '!' || c == '?' || (c == '.' && keeps_full_stops));
    if (!is_letter) add_space();
    if (is_letter || is_sign) kept += c;
  }
  return std::string(trim_white_space(kept, true, true));
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (text = trim_white_space(text, true, true); !text.empty();) {
    const std::size_t size = word_size(text);
    words.push_back(text.substr(0, size));
    text = trim_white_space(text.substr(size), true, false);
  }
  return words;
}

}  // namespace heed
