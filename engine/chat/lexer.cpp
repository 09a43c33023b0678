#include "chat/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "chat/python_text.h"
#include "chat/work.h"

namespace heed::chat {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Line ends become \n, and one at the end of all goes.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_text_and_tag();
    add(Kind::End, "");
    return std::move(tokens_);
  }

 private:
  bool has(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }
  bool has_at(std::size_t at, std::string_view text) const {
    return at <= source_.size() && std::string_view(source_).substr(at).starts_with(text);
  }
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), work_.line}); }
  void advance_to(std::size_t to) {
    work_.line += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                              source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    line_starts_ = to > at_ ? source_[to - 1] == '\n' : line_starts_;
    at_ = to;
  }
  /// White space of ASCII, which is all that a template's own text should have around its tags.
  std::size_t behind_white_space(std::size_t at) const {
    while (at < source_.size() && is_white_space(static_cast<unsigned char>(source_[at])) && source_[at] > 0) ++at;
    return at;
  }
  std::size_t behind_newline(std::size_t at) const { return has_at(at, "\n") ? at + 1 : at; }

  void read_text_and_tag() {
    std::size_t tag = source_.find('{', at_);
    while (tag != std::string::npos && !has_at(tag, "{{") && !has_at(tag, "{%") && !has_at(tag, "{#")) {
      tag = source_.find('{', tag + 1);
    }
    const std::string_view rest = std::string_view(source_).substr(at_);
    if (tag == std::string::npos) {
      add(Kind::Data, std::string(rest));
      return advance_to(source_.size());
    }
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    const char opener = source_[tag + 1];
    const std::string_view text = rest.substr(0, tag - at_);
    std::string kept(text);
    if (sign == '-') {
      kept = strip(text, std::nullopt, Side::Right);
    } else if (sign != '+' && opener != '{') {
      // Spaces go that stand between the beginning of a line and the tag.
      const std::size_t line = text.rfind('\n') + 1;  // 0 where there is none
      if ((line > 0 || line_starts_) && strip(text.substr(line), std::nullopt, Side::Both).empty()) kept.resize(line);
    }
    if (!kept.empty()) add(Kind::Data, std::move(kept));
    advance_to(tag);
    advance_to(tag + (has_sign ? 3 : 2));
    if (opener == '#') return skip_comment();
    if (opener == '%' && read_raw()) return;
    read_tag(opener == '{');
  }

  void skip_comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string::npos) work_.fail("a comment does not end");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    advance_to(sign == '-' ? behind_white_space(end + 2) : sign == '+' ? end + 2 : behind_newline(end + 2));
  }

  /// Reads {% raw %} up to its end, where that is what the tag is.
  bool read_raw() {
    std::size_t at = behind_white_space(at_);
    if (!has_at(at, "raw")) return false;
    at = behind_white_space(at + 3);
    if (!has_at(at, "%}") && !has_at(at, "-%}")) return false;
    const std::size_t begin = has_at(at, "-%}") ? behind_white_space(at + 3) : at + 2;
    for (std::size_t tag = begin; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
      const bool minus = has_at(tag + 2, "-");
      std::size_t end = behind_white_space(tag + (minus || has_at(tag + 2, "+") ? 3 : 2));
      if (!has_at(end, "endraw")) continue;
      end = behind_white_space(end + 6);
      const bool end_minus = has_at(end, "-%}");
      if (!end_minus && !has_at(end, "+%}") && !has_at(end, "%}")) continue;
      std::string text = source_.substr(begin, tag - begin);
      if (minus) {
        text = strip(text, std::nullopt, Side::Right);
      } else if (!has_at(tag + 2, "+")) {
        const std::size_t line = text.rfind('\n') + 1;
        const bool starts = line > 0 || (begin > 0 && source_[begin - 1] == '\n');
        if (starts && strip(text.substr(line), std::nullopt, Side::Both).empty()) text.resize(line);
      }
      if (!text.empty()) add(Kind::Data, std::move(text));
      advance_to(end_minus ? behind_white_space(end + 3) : has_at(end, "+%}") ? end + 3 : behind_newline(end + 2));
      return true;
    }
    work_.fail("a raw block does not end");
  }

  void read_tag(bool variable) {
    add(variable ? Kind::VariableBegin : Kind::BlockBegin, "");
    std::string open;  // brackets
    while (true) {
      advance_to(behind_white_space(at_));
      if (at_ == source_.size()) work_.fail("a tag does not end");
      if (open.empty() && read_end(variable)) return;
      read_token(open);
    }
  }

  bool read_end(bool variable) {
    const std::string_view end = variable ? "}}" : "%}";
    std::size_t to = 0;
    if (has_at(at_, "-") && has_at(at_ + 1, end)) {
      to = behind_white_space(at_ + 3);
    } else if (!variable && has("+%}")) {
      to = at_ + 3;
    } else if (has(end)) {
      to = variable ? at_ + 2 : behind_newline(at_ + 2);
    } else {
      return false;
    }
    add(variable ? Kind::VariableEnd : Kind::BlockEnd, "");
    advance_to(to);
    return true;
  }

  void read_token(std::string& open) {
    const char c = source_[at_];
    if (begins_name(c)) {
      std::size_t end = at_;
      while (end < source_.size() && (begins_name(source_[end]) || is_digit(source_[end]))) ++end;
      add(Kind::Name, source_.substr(at_, end - at_));
      return advance_to(end);
    }
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string(c);
    constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                             "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                             ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto found = std::ranges::find_if(kOperators, [&](std::string_view op) { return has(op); });
    if (found == kOperators.end()) work_.fail("'{}' is not expected in a tag", character_at(at_));
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c == ')' || c == ']' || c == '}') {
      const char opener = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (!open.ends_with(opener)) work_.fail("'{}' closes what was not opened", c);
      open.pop_back();
    }
    add(Kind::Operator, std::string(*found));
    advance_to(at_ + found->size());
  }

  void read_number() {
    const auto behind_digits = [&](std::size_t at) {
      const auto joins = [&] { return source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1]); };
      while (at < source_.size() && (is_digit(source_[at]) || joins())) ++at;  // 1_000
      return at;
    };
    std::size_t end = behind_digits(at_);
    bool real = false;
    const bool behind_dot = at_ > 0 && source_[at_ - 1] == '.';  // a.0.1
    if (!behind_dot && has_at(end, ".") && end + 1 < source_.size() && is_digit(source_[end + 1])) {
      real = true;
      end = behind_digits(end + 1);
    }
    if (!behind_dot && (has_at(end, "e") || has_at(end, "E"))) {
      std::size_t digits = end + 1;
      if (has_at(digits, "+") || has_at(digits, "-")) ++digits;
      if (digits < source_.size() && is_digit(source_[digits])) {
        real = true;
        end = behind_digits(digits);
      }
    }
    if (end < source_.size() && begins_name(source_[end])) work_.fail("a number is followed by a letter");
    std::string number = source_.substr(at_, end - at_);
    std::erase(number, '_');
    add(real ? Kind::Real : Kind::Integer, std::move(number));
    advance_to(end);
  }

  void read_string(char quote) {
    std::string value;
    std::size_t at = at_ + 1;
    for (; at < source_.size() && source_[at] != quote; ++at) {
      if (source_[at] != '\\') {
        value += source_[at];
      } else {
        at = read_escape(at + 1, value);
      }
    }
    if (at >= source_.size()) work_.fail("a string does not end");
    add(Kind::String, std::move(value));
    advance_to(at + 1);
  }

  /// The escape whose letter is at `at`, as in Python's strings; gives where its last character is.
  std::size_t read_escape(std::size_t at, std::string& value) {
    if (at >= source_.size()) work_.fail("a string does not end");
    constexpr std::string_view kLetters = "\\'\"abfnrtv";
    constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const char c = source_[at];
    if (const std::size_t known = kLetters.find(c); known != std::string_view::npos) {
      value += kValues[known];
      return at;
    }
    if (c == '\n') return at;
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) {
      const std::string hex = source_.substr(at + 1, digits);
      const bool fits = hex.size() == digits && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      const unsigned long code = fits ? std::stoul(hex, nullptr, 16) : 0x110000;
      if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        work_.fail("the escape \\{} names no character", c);
      }
      value += from_code_points(std::u32string(1, static_cast<char32_t>(code)));
      return at + digits;
    }
    if (is_digit(c) || c == 'N') work_.fail("the escape \\{} is not supported", c);
    value += '\\';
    value += source_[at];
    return at;
  }

  std::string character_at(std::size_t at) const {
    const std::u32string codes = code_points(std::string_view(source_).substr(at));
    return from_code_points(codes.substr(0, 1));
  }

  const std::string source_;
  std::vector<Token> tokens_;
  Work work_;
  std::size_t at_ = 0;
  bool line_starts_ = true;
};

}  // namespace

std::vector<Token> cut_template(std::string_view source) { return Lexer(source).run(); }

}  // namespace heed::chat
