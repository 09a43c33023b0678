#include "grammar/gbnf_parser.h"

#include <fmt/format.h>

#include <map>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed::grammar {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 20;
constexpr int kMostDepth = 100;                // of groups
constexpr int kMostStacked = 4;                // repetitions of one item
constexpr std::size_t kMostRules = 1 << 16;    // named ones
constexpr std::uint32_t kMostTimes = 1 << 16;  // of a repetition
constexpr std::size_t kLongestName = 256;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  Grammar parse() {
    if (text_.size() > kMostBytes) {
      throw Error(fmt::format("grammar: {} bytes; heed reads up to {}", text_.size(), kMostBytes));
    }
    if (const std::size_t invalid = find_invalid_utf8(text_); invalid != text_.size()) {
      at_ = invalid;
      fail("this byte is not valid UTF-8");
    }
    skip_space(true);
    while (!at_end()) parse_rule();
    for (std::size_t i = 0; i < uses_.size(); ++i) {
      if (defined_[i]) continue;
      at_ = uses_[i];
      fail(fmt::format("there is no rule '{}'", grammar_.rules[i].name));
    }
    const auto root = numbers_.find("root");
    if (root == numbers_.end()) throw Error("grammar: there is no rule 'root', with which texts begin");
    grammar_.root = root->second;
    return std::move(grammar_);
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char next() const { return at_end() ? '\0' : text_[at_]; }
  bool is_next(std::string_view expected) const { return text_.substr(at_).starts_with(expected); }

  [[noreturn]] void fail(const std::string& message) const {
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < at_; ++i) {
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80) {
        ++column;
      }
    }
    throw Error(fmt::format("grammar: line {}, column {}: {}", line, column, message));
  }
  [[noreturn]] void fail_expected(std::string_view expected) const {
    fail(fmt::format("expected {}, found {}", expected, found()));
  }
  std::string found() const {
    if (at_end()) return "the end of the grammar";
    if (next() == '\n' || next() == '\r') return "the end of the line";
    const DecodedCharacter character = decode_character(text_, at_);
    if (character.code < 0x20 || character.code == 0x7F) {
      return fmt::format("the character U+{:04X}", static_cast<std::uint32_t>(character.code));
    }
    return fmt::format("'{}'", text_.substr(at_, character.size));
  }

  void skip_space(bool lines) {
    while (!at_end()) {
      const char c = next();
      if (c == '#') {
        while (!at_end() && next() != '\n' && next() != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::uint32_t number_of(std::string_view name, std::size_t place) {
    const auto [found, added] = numbers_.emplace(name, static_cast<std::uint32_t>(grammar_.rules.size()));
    if (added) {
      if (grammar_.rules.size() == kMostRules) fail(fmt::format("more than {} rules", kMostRules));
      grammar_.rules.push_back({std::string(name), {}});
      uses_.push_back(place);
      defined_.push_back(false);
    }
    return found->second;
  }

  std::string_view parse_name(std::string_view expected) {
    const std::size_t begin = at_;
    while (is_name_character(next())) ++at_;
    if (at_ == begin) fail_expected(expected);
    if (at_ - begin > kLongestName) {
      at_ = begin;
      fail(fmt::format("a name of more than {} characters", kLongestName));
    }
    return text_.substr(begin, at_ - begin);
  }

  void parse_rule() {
    const std::size_t begin = at_;
    const std::string_view name = parse_name("the name of a rule");
    const std::uint32_t number = number_of(name, begin);
    if (defined_[number]) {
      at_ = begin;
      fail(fmt::format("the rule '{}' is there already", name));
    }
    defined_[number] = true;
    skip_space(false);
    if (!is_next("::=")) fail_expected("'::='");
    at_ += 3;
    skip_space(true);
    grammar_.rules[number].body = parse_choice(0);
    if (!at_end() && next() != '\n' && next() != '\r') fail_expected("'|' or the end of the line");
    skip_space(true);
  }

  Expression parse_choice(int depth) {
    std::vector<Expression> parts;
    parts.push_back(parse_sequence(depth));
    while (true) {
      const std::size_t end = at_;
      skip_space(true);
      if (next() != '|') {
        if (depth == 0) at_ = end;
        return choice(std::move(parts));
      }
      ++at_;
      skip_space(true);
      parts.push_back(parse_sequence(depth));
    }
  }

  /// Ends before what no item begins with. On the outside a new line ends it, and so does the name of the next rule.
  Expression parse_sequence(int depth) {
    std::vector<Expression> parts;
    while (true) {
      skip_space(depth > 0);
      const char c = next();
      if (c == '"') {
        parts.push_back(parse_text());
      } else if (c == '[') {
        parts.push_back(parse_class());
      } else if (c == '.') {
        ++at_;
        parts.push_back(characters({{0, kLastCodePoint}}));
      } else if (c == '(') {
        if (depth == kMostDepth) fail(fmt::format("groups nested deeper than {}", kMostDepth));
        ++at_;
        skip_space(true);
        parts.push_back(parse_choice(depth + 1));
        if (next() != ')') fail_expected("')' or '|'");
        ++at_;
      } else if (is_name_character(c)) {
        const std::size_t begin = at_;
        const std::string_view name = parse_name("a rule");
        if (parts.empty()) {  // after "a |" and a new line the next rule may begin
          const std::size_t end = at_;
          skip_space(false);
          const bool is_definition = depth == 0 && is_next("::=");
          at_ = is_definition ? begin : end;
          if (is_definition) fail("an alternative is expected, found the next rule; \"\" is the empty text");
        }
        parts.push_back(rule(number_of(name, begin)));
      } else if (c == '<' || c == '!') {
        fail("tokens (<[1]>, <name>) cannot be written in grammars here; write the text they stand for");
      } else if (c == '*' || c == '+' || c == '?' || c == '{') {
        fail(fmt::format("'{}' repeats what stands before it, but nothing does", c));
      } else {
        return sequence(std::move(parts));
      }
      parse_repetitions(parts.back());
    }
  }

  void parse_repetitions(Expression& item) {
    int times = 0;
    while (true) {
      const std::size_t begin = at_;
      std::uint32_t least = 0;
      std::optional<std::uint32_t> most;
      const std::size_t before_space = at_;
      skip_space(false);
      switch (next()) {
        case '*':
          ++at_;
          break;
        case '+':
          ++at_;
          least = 1;
          break;
        case '?':
          ++at_;
          most = 1;
          break;
        case '{':
          parse_bounds(least, most);
          break;
        default:
          at_ = before_space;
          return;
      }
      if (++times > kMostStacked) {
        at_ = begin;
        fail(fmt::format("more than {} repetitions of repetitions", kMostStacked));
      }
      item = repeat(std::move(item), least, most);
    }
  }

  void parse_bounds(std::uint32_t& least, std::optional<std::uint32_t>& most) {
    const std::size_t begin = at_++;
    skip_space(false);
    least = parse_times();
    skip_space(false);
    most = least;
    if (next() == ',') {
      ++at_;
      skip_space(false);
      most.reset();
      if (next() != '}') most = parse_times();
      skip_space(false);
    }
    if (next() != '}') fail_expected("'}', as in {2}, {2,} or {2,5}");
    ++at_;
    if (most && *most < least) {
      at_ = begin;
      fail(fmt::format("at least {} but at most {} times", least, *most));
    }
  }

  std::uint32_t parse_times() {
    const std::size_t begin = at_;
    std::uint32_t value = 0;
    while (next() >= '0' && next() <= '9') {
      value = value * 10 + static_cast<std::uint32_t>(next() - '0');
      if (value > kMostTimes) {
        at_ = begin;
        fail(fmt::format("a repetition of more than {} times", kMostTimes));
      }
      ++at_;
    }
    if (at_ == begin) fail_expected("a number");
    return value;
  }

  Expression parse_text() {
    const std::size_t begin = at_++;
    std::string bytes;
    while (next() != '"') {
      if (at_end() || next() == '\n') {
        at_ = begin;
        fail("this text does not end with '\"' on its line; \\n is a new line");
      }
      append_utf8(parse_character(), bytes);
    }
    ++at_;
    return text(bytes);
  }

  Expression parse_class() {
    const std::size_t begin = at_++;
    const bool negated = next() == '^';
    if (negated) ++at_;
    std::vector<CodePoints> ranges;
    const auto check_end = [&] {
      if (!at_end() && next() != '\n') return;
      at_ = begin;
      fail("this class does not end with ']' on its line; \\n is a new line");
    };
    while (check_end(), next() != ']') {
      const std::size_t range_begin = at_;
      CodePoints range;
      range.first = range.last = parse_character();
      check_end();
      if (next() == '-' && !is_next("-]")) {
        ++at_;
        check_end();
        range.last = parse_character();
      }
      if (range.last < range.first) {
        at_ = range_begin;
        fail("the range goes backwards");
      }
      ranges.push_back(range);
    }
    ++at_;
    if (negated) ranges = complement(ranges);
    Expression made = characters(std::move(ranges));
    if (!made.characters.empty()) return made;
    at_ = begin;
    fail("no character is in this class");
  }

  /// One character of a text or class, or an escape.
  char32_t parse_character() {
    if (next() != '\\') {
      const DecodedCharacter character = decode_character(text_, at_);
      at_ += character.size;
      return character.code;
    }
    const std::size_t begin = at_++;
    const char c = next();
    if (!at_end()) ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '"':
      case '\\':
      case '[':
      case ']':
        return static_cast<char32_t>(c);
      case 'x':
        return parse_hex(begin, 2);
      case 'u':
        return parse_hex(begin, 4);
      case 'U':
        return parse_hex(begin, 8);
      default:
        at_ = begin;
        fail("no such escape; there are \\n \\r \\t \\\" \\\\ \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH");
    }
  }

  char32_t parse_hex(std::size_t begin, int digits) {
    char32_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = next();
      const bool is_digit = c >= '0' && c <= '9';
      const char lower = static_cast<char>(c | 0x20);
      if (!is_digit && (lower < 'a' || lower > 'f')) fail_expected(fmt::format("{} hexadecimal digits", digits));
      code = code << 4 | static_cast<char32_t>(is_digit ? c - '0' : lower - 'a' + 10);
    }
    if (code > kLastCodePoint || (code >= 0xD800 && code <= 0xDFFF)) {
      at_ = begin;
      fail("there is no such character");
    }
    return code;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
  std::vector<std::size_t> uses_;  // where each rule is named first
  std::vector<bool> defined_;
};

}  // namespace

Grammar parse_gbnf(std::string_view text) { return GbnfParser(text).parse(); }

}  // namespace heed::grammar
