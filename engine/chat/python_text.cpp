#include "chat/python_text.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <memory>

#include "chat/value.h"
#include "tokenizer/utf8.h"

namespace heed::chat {
namespace {

/// The C library's tables of Unicode, whatever the user's locale is.
locale_t unicode() {
  static const locale_t kLocale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (kLocale == nullptr) throw Error("the C library has no locale C.UTF-8, which tells upper from lower case");
  return kLocale;
}

char32_t upper_of(char32_t code) { return static_cast<char32_t>(towupper_l(static_cast<wint_t>(code), unicode())); }
char32_t lower_of(char32_t code) { return static_cast<char32_t>(towlower_l(static_cast<wint_t>(code), unicode())); }
bool is_upper(char32_t code) { return iswupper_l(static_cast<wint_t>(code), unicode()) != 0; }
bool is_lower(char32_t code) { return iswlower_l(static_cast<wint_t>(code), unicode()) != 0; }
bool is_letter(char32_t code) {
  return iswalpha_l(static_cast<wint_t>(code), unicode()) != 0 && !(code >= '0' && code <= '9');
}

/// Letters whose upper case has several letters (Unicode's SpecialCasing.txt).
bool becomes_several(char32_t code) {
  if (code == 0xDF || code == 0x149 || code == 0x1F0 || code == 0x390 || code == 0x3B0 || code == 0x587) return true;
  if (code >= 0x1E96 && code <= 0x1E9A) return true;
  if (code >= 0x1F50 && code <= 0x1FFC) {
    if (code <= 0x1F56) return code % 2 == 0;
    return code >= 0x1F80 && upper_of(code) != code && (code & 7) != 0 && (code & 7) != 1;
  }
  return (code >= 0xFB00 && code <= 0xFB06) || (code >= 0xFB13 && code <= 0xFB17);
}

char32_t checked_upper(char32_t code, const Work& work) {
  if (becomes_several(code)) {
    work.fail("the upper case of '{}' has several letters, which heed does not know",
              from_code_points(std::u32string(1, code)));
  }
  return upper_of(code);
}

/// str.isprintable(), which the C library answers differently for what formats text and what is for private use.
bool is_printable(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kNot[] = {
      {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},     {0x6DD, 0x6DD},   {0x70F, 0x70F},
      {0x890, 0x891},     {0x8E2, 0x8E2},     {0x180E, 0x180E},   {0x200B, 0x200F}, {0x202A, 0x202E},
      {0x2060, 0x206F},   {0xE000, 0xF8FF},   {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB}, {0x110BD, 0x110BD},
      {0x1D173, 0x1D17A}, {0xE0000, 0xE00FF}, {0xF0000, 0x10FFFF}};
  if (std::ranges::any_of(kNot, [&](const auto& range) { return code >= range.first && code <= range.second; }))
    return false;
  return code == U' ' || (!is_white_space(code) && iswprint_l(static_cast<wint_t>(code), unicode()) != 0);
}

bool ends_line(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

template <typename Convert>
std::string converted(std::string_view text, const Convert& convert) {
  std::u32string codes = code_points(text);
  convert(codes);
  return from_code_points(codes);
}

/// A character, and where the next one is in the direction in which the text is read.
struct Character {
  char32_t code;
  std::size_t next;
};

Character character_at(std::string_view text, std::size_t at) {
  const std::size_t size = scan_character(text, at).size;
  return {code_points(text.substr(at, size)).front(), at + size};
}

Character character_that_ends_at(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return {code_points(text.substr(at, end - at)).front(), at};
}

/// Where the characters from `at` on end of which `are` holds.
std::size_t end_of(std::string_view text, std::size_t at, const auto& are) {
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (!are(character.code)) break;
    at = character.next;
  }
  return at;
}

std::size_t begin_of(std::string_view text, std::size_t end, const auto& are) {
  while (end > 0) {
    const Character character = character_that_ends_at(text, end);
    if (!are(character.code)) break;
    end = character.next;
  }
  return end;
}

constexpr std::uint64_t kUnitsOfPart = 4;  // each becomes a text of its own

bool is_no_white_space(char32_t code) { return !is_white_space(code); }

std::vector<std::string_view> split_at_white_space(std::string_view text, std::int64_t most, Work& work) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; (at = end_of(text, at, is_white_space)) < text.size();) {
    work.charge(kUnitsOfPart);
    const bool rest = most >= 0 && parts.size() == static_cast<std::size_t>(most);
    const std::size_t end = rest ? text.size() : end_of(text, at, is_no_white_space);
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

std::vector<std::string_view> split_at_white_space_from_right(std::string_view text, std::int64_t most, Work& work) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.size(); (end = begin_of(text, end, is_white_space)) > 0;) {
    work.charge(kUnitsOfPart);
    const bool rest = most >= 0 && parts.size() == static_cast<std::size_t>(most);
    const std::size_t at = rest ? 0 : begin_of(text, end, is_no_white_space);
    parts.push_back(text.substr(at, end - at));
    end = at;
  }
  return parts;
}

}  // namespace

std::u32string code_points(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = scan_character(text, at).size;
    char32_t code = static_cast<unsigned char>(text[at]);
    if (size > 1) code &= 0x7Fu >> size;
    for (std::size_t i = 1; i < size; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
    codes += code;
    at += size;
  }
  return codes;
}

std::string from_code_points(std::u32string_view codes) {
  std::string text;
  text.reserve(codes.size());
  const auto add = [&](char32_t bits) { text += static_cast<char>(bits); };
  for (const char32_t code : codes) {
    if (code < 0x80) {
      add(code);
      continue;
    }
    if (code >= 0x10000) {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    } else if (code >= 0x800) {
      add(0xE0 | code >> 12);
    }
    add(code < 0x800 ? 0xC0 | code >> 6 : 0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
  return text;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

std::string_view strip(std::string_view text, const std::optional<std::string>& characters, Side side) {
  const std::u32string set = characters ? code_points(*characters) : std::u32string();
  const auto goes = [&](char32_t code) {
    return characters ? set.find(code) != std::u32string::npos : is_white_space(code);
  };
  const std::size_t begin = side == Side::Right ? 0 : end_of(text, 0, goes);
  text.remove_prefix(begin);
  return text.substr(0, side == Side::Left ? text.size() : begin_of(text, text.size(), goes));
}

std::vector<std::string_view> split(std::string_view text, const std::optional<std::string>& separator,
                                    std::int64_t most, Work& work) {
  if (!separator) return split_at_white_space(text, most, work);
  work.charge_search(text, *separator);
  std::vector<std::string_view> parts;
  std::size_t at = 0;
  while (most < 0 || parts.size() < static_cast<std::size_t>(most)) {
    const std::size_t found = text.find(*separator, at);
    if (found == std::string_view::npos) break;
    work.charge(kUnitsOfPart);
    parts.push_back(text.substr(at, found - at));
    at = found + separator->size();
  }
  parts.push_back(text.substr(at));
  return parts;
}

std::vector<std::string_view> split_from_right(std::string_view text, const std::optional<std::string>& separator,
                                               std::int64_t most, Work& work) {
  std::vector<std::string_view> parts;
  if (!separator) {
    parts = split_at_white_space_from_right(text, most, work);
  } else {
    work.charge_search(text, *separator);
    std::size_t end = text.size();
    while (end >= separator->size() && (most < 0 || parts.size() < static_cast<std::size_t>(most))) {
      const std::size_t found = text.rfind(*separator, end - separator->size());
      if (found == std::string_view::npos) break;
      work.charge(kUnitsOfPart);
      parts.push_back(text.substr(found + separator->size(), end - found - separator->size()));
      end = found;
    }
    parts.push_back(text.substr(0, end));
  }
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_into_lines(std::string_view text, bool keep_ends, Work& work) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    work.charge(kUnitsOfPart);
    const std::size_t end = end_of(text, at, [](char32_t code) { return !ends_line(code); });
    std::size_t next = end < text.size() ? character_at(text, end).next : end;
    if (next < text.size() && text[end] == '\r' && text[next] == '\n') ++next;
    lines.push_back(text.substr(at, (keep_ends ? next : end) - at));
    at = next;
  }
  return lines;
}

Text replace(const Text& original, std::string_view from, const Text& to, std::int64_t most, Work& work) {
  const std::string_view text = original.bytes();
  work.charge_search(text, from);
  Text result;
  std::size_t at = 0;
  for (std::int64_t done = 0; most < 0 || done < most; ++done) {
    const std::size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    work.charge(1);
    if (from.empty()) {  // before each character, and at the end
      const std::size_t size = at < text.size() ? scan_character(text, at).size : 0;
      append(result, to, work);
      append(result, original.part(text.substr(at, size)), work);
      at += size;
      if (size == 0) break;
    } else {
      append(result, original.part(text.substr(at, found - at)), work);
      append(result, to, work);
      at = found + from.size();
    }
  }
  append(result, original.part(text.substr(at)), work);
  work.charge_text(result);
  return result;
}

std::string upper(std::string_view text, const Work& work) {
  return converted(text, [&](std::u32string& codes) {
    for (char32_t& code : codes) code = checked_upper(code, work);
  });
}

std::string lower(std::string_view text) {
  return converted(text, [&](std::u32string& codes) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const bool ends_word =
          codes[i] == 0x3A3 && i > 0 && is_letter(codes[i - 1]) && (i + 1 == codes.size() || !is_letter(codes[i + 1]));
      codes[i] = ends_word ? char32_t{0x3C2} : lower_of(codes[i]);  // the sigma that ends a word
    }
  });
}

std::string title(std::string_view text, const Work& work) {
  return converted(text, [&](std::u32string& codes) {
    bool inside = false;
    for (char32_t& code : codes) {
      const bool letter = is_upper(code) || is_lower(code);
      if (letter) code = inside ? lower_of(code) : checked_upper(code, work);
      inside = letter;
    }
  });
}

std::string capitalize(std::string_view text, const Work& work) {
  return converted(text, [&](std::u32string& codes) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = i == 0 ? checked_upper(codes[i], work) : lower_of(codes[i]);
    }
  });
}

bool all_are(std::string_view text, CharacterClass kind) {
  const std::u32string codes = code_points(text);
  const auto all = [&](const auto& is) { return !codes.empty() && std::ranges::all_of(codes, is); };
  const auto is_digit = [](char32_t code) { return code >= '0' && code <= '9'; };
  switch (kind) {
    case CharacterClass::Digit:
      return all(is_digit);
    case CharacterClass::Alphabetic:
      return all(is_letter);
    case CharacterClass::Alphanumeric:
      return all([&](char32_t code) { return is_digit(code) || is_letter(code); });
    case CharacterClass::Space:
      return all(is_white_space);
    case CharacterClass::Upper:
      return std::ranges::any_of(codes, is_upper) && std::ranges::none_of(codes, is_lower);
    case CharacterClass::Lower:
      return std::ranges::any_of(codes, is_lower) && std::ranges::none_of(codes, is_upper);
  }
  return false;
}

Text quoted_as_python(const Text& original) {
  const std::string_view text = original.bytes();
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string result(1, quote);
  for (const char32_t code : code_points(text)) {
    if (code == static_cast<char32_t>(quote) || code == U'\\') {
      result += '\\';
      result += static_cast<char>(code);
    } else if (code == U'\n') {
      result += "\\n";
    } else if (code == U'\r') {
      result += "\\r";
    } else if (code == U'\t') {
      result += "\\t";
    } else if (is_printable(code)) {
      result += from_code_points(std::u32string(1, code));
    } else {
      const auto value = static_cast<std::uint32_t>(code);
      result += value < 0x100     ? fmt::format("\\x{:02x}", value)
                : value < 0x10000 ? fmt::format("\\u{:04x}", value)
                                  : fmt::format("\\U{:08x}", value);
    }
  }
  result += quote;
  return Text(std::move(result), original.has_given());
}

}  // namespace heed::chat
