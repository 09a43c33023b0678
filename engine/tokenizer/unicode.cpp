#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

constexpr utf8proc_int32_t kDottedCapitalI = 0x130;  // the only character whose lower case is two

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void append(std::string& text, utf8proc_int32_t character) {
  std::array<utf8proc_uint8_t, 4> bytes = {};
  const utf8proc_ssize_t size = utf8proc_encode_char(character, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

utf8proc_int32_t scalar_at(std::string_view text, std::size_t at) {
  return static_cast<utf8proc_int32_t>(code_point_at(text, at));
}

// The library's own sorting of marks takes n * n steps for n of them in a row.
void sort_marks(std::vector<utf8proc_int32_t>& characters) {
  const auto combining_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  const auto is_mark = [&](utf8proc_int32_t c) { return combining_class(c) > 0; };
  for (auto at = characters.begin(); at != characters.end();) {
    const auto begin = std::find_if(at, characters.end(), is_mark);
    at = std::find_if_not(begin, characters.end(), is_mark);
    std::stable_sort(begin, at, [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
  }
}

}  // namespace

std::string normalized(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  const bool compatible = form == NormalForm::Nfkc || form == NormalForm::Nfkd;
  const bool composes = form == NormalForm::Nfc || form == NormalForm::Nfkc;
  const auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); at += scan_character(text, at).size) {
    std::array<utf8proc_int32_t, 32> parts = {};  // the longest decomposition has 18
    int last_class = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(scalar_at(text, at), parts.data(), parts.size(), options, &last_class);
    if (count < 0 || static_cast<std::size_t>(count) > parts.size()) {
      throw Error("cannot normalize the text: utf8proc does not decompose one of its characters; report this");
    }
    characters.insert(characters.end(), parts.begin(), parts.begin() + count);
  }
  sort_marks(characters);
  if (composes) {
    const utf8proc_ssize_t size =
        utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    characters.resize(static_cast<std::size_t>(size));
  }
  std::string result;
  result.reserve(text.size());
  for (const utf8proc_int32_t character : characters) append(result, character);
  return result;
}

std::string lower_characters(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); at += scan_character(text, at).size) {
    const utf8proc_int32_t character = scalar_at(text, at);
    append(result, character == kDottedCapitalI ? 'i' : utf8proc_tolower(character));
    if (character == kDottedCapitalI) append(result, 0x307);
  }
  return result;
}

bool is_word_character(char32_t character) {
  // Symbols that Unicode calls alphabetic all the same: letters in circles and squares.
  const auto in = [&](char32_t first, char32_t last) { return character >= first && character <= last; };
  if (in(0x24B6, 0x24E9) || in(0x1F130, 0x1F149) || in(0x1F150, 0x1F169) || in(0x1F170, 0x1F189)) return true;
  if (in(0x200C, 0x200D)) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(character))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

char32_t code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const std::size_t size = scan_character(text, at).size;
  if (size == 1) return byte(0);
  char32_t character = byte(0) & (0xFFu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) character = character << 6 | (byte(i) & 0x3Fu);
  return character;
}

std::size_t character_before(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace heed
