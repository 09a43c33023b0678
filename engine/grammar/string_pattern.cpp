#include "grammar/string_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed::grammar {
namespace {

using Ranges = std::vector<CodePoints>;

constexpr std::size_t kMostPatternBytes = 65536;
constexpr int kMostGroupDepth = 50;
constexpr std::uint32_t kMostPatternTimes = 1 << 16;

const Ranges kDigits = {{'0', '9'}};
const Ranges kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// ECMA-262: WhiteSpace and LineTerminator.
const Ranges kSpaces = {{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const Ranges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser {
 public:
  PatternParser(std::string_view pattern, ExpressionBudget& budget) : pattern_(pattern), budget_(budget) {}

  Expression parse() {
    if (pattern_.size() > kMostPatternBytes) {
      throw Error(fmt::format("a pattern of {} bytes; heed reads up to {}", pattern_.size(), kMostPatternBytes));
    }
    Expression whole = parse_alternatives(0);
    if (!at_end()) fail("this ')' ends no group");
    return whole;
  }

 private:
  bool at_end() const { return at_ == pattern_.size(); }
  char next() const { return at_end() ? '\0' : pattern_[at_]; }
  bool take(std::string_view expected) {
    if (!pattern_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  [[noreturn]] void fail(std::string_view message) const {
    throw Error(fmt::format("the pattern, at byte {}: {}", at_, message));
  }

  Expression anything() const {
    Expression any = repeat(*in_json_string({{0, kLastCodePoint}}), 0, {});
    budget_.take(any);
    return any;
  }

  Expression parse_alternatives(int depth) {
    std::vector<Expression> parts;
    do {
      parts.push_back(parse_alternative(depth));
    } while (take("|"));
    return choice(std::move(parts));
  }

  Expression parse_alternative(int depth) {
    budget_.take(2);  // the alternative, and the group that it may be the first of
    std::vector<Expression> parts;
    const bool anchored = depth > 0 || take("^");
    if (!anchored) parts.push_back(anything());
    bool ended = depth > 0;
    while (!at_end() && next() != '|' && next() != ')') {
      if (next() == '^') fail("'^' can stand at the beginning of the pattern only");
      if (depth == 0 && take("$")) {
        ended = true;
        if (!at_end() && next() != '|') fail("'$' can stand at the end of the pattern only");
        break;
      }
      if (next() == '$') fail("'$' can stand at the end of the pattern only");
      Expression item = parse_item(depth);
      parts.push_back(parse_times(std::move(item)));
    }
    if (!ended) parts.push_back(anything());
    return sequence(std::move(parts));
  }

  Expression parse_item(int depth) {
    if (take("(")) {
      if (depth == kMostGroupDepth) fail("groups are nested too deep");
      if (take("?")) {
        if (take("<") && next() != '=' && next() != '!') {
          while (!at_end() && next() != '>') ++at_;
          if (!take(">")) fail("this name of a group does not end with '>'");
        } else if (!take(":")) {
          fail("looking ahead or behind is not possible here");
        }
      }
      Expression group = parse_alternatives(depth + 1);
      if (!take(")")) fail("a group does not end with ')'");
      return group;
    }
    const std::size_t begin = at_;
    std::optional<Expression> item = in_json_string(parse_set());
    if (item) {
      budget_.take(*item);
      return std::move(*item);
    }
    at_ = begin;
    fail("no character is in this class");
  }

  Ranges parse_set() {
    if (take("[")) return parse_class();
    if (take(".")) return complement(kLineEnds);
    if (next() == '*' || next() == '+' || next() == '?' || next() == '{') fail("nothing stands before this repetition");
    if (next() == '\\') return parse_escape(false);
    return parse_plain();
  }
  Ranges parse_plain() {
    const DecodedCharacter character = decode_character(pattern_, at_);
    at_ += character.size;
    return {{character.code, character.code}};
  }

  Ranges parse_class() {
    const bool negated = take("^");
    Ranges ranges;
    while (next() != ']') {
      if (at_end()) fail("a class does not end with ']'");
      const std::size_t begin = at_;
      Ranges part = next() == '\\' ? parse_escape(true) : parse_plain();
      const std::string_view rest = pattern_.substr(at_);
      if (rest.size() > 1 && rest[0] == '-' && rest[1] != ']') {
        ++at_;
        const Ranges last = next() == '\\' ? parse_escape(true) : parse_plain();
        const auto is_one = [](const Ranges& set) { return set.size() == 1 && set[0].first == set[0].last; };
        if (!is_one(part) || !is_one(last) || last[0].first < part[0].first) {
          at_ = begin;
          fail("this is no range of characters");
        }
        part[0].last = last[0].last;
      }
      ranges.insert(ranges.end(), part.begin(), part.end());
    }
    ++at_;
    return negated ? complement(ranges) : normal_ranges(std::move(ranges));
  }

  Ranges parse_escape(bool in_class) {
    const std::size_t begin = at_++;
    const char c = next();
    if (!at_end()) ++at_;
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return complement(kWord);
      case 's':
        return kSpaces;
      case 'S':
        return complement(kSpaces);
      case 'n':
        return {{'\n', '\n'}};
      case 'r':
        return {{'\r', '\r'}};
      case 't':
        return {{'\t', '\t'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return parse_hex(2);
      case 'u':
        return parse_hex(4);
      case 'b':
        if (in_class) return {{'\b', '\b'}};
        break;
      default:
        break;
    }
    constexpr std::string_view kPunctuation = "^$\\.*+?()[]{}|/-\"'#&~@%,:;<>=!_` ";
    if (c != '\0' && kPunctuation.find(c) != kPunctuation.npos) {
      return {{static_cast<char32_t>(c), static_cast<char32_t>(c)}};
    }
    at_ = begin;
    fail(
        "heed does not know this escape; there are \\d \\D \\w \\W \\s \\S \\n \\r \\t \\f \\v \\xHH \\uHHHH, and \\ "
        "before a mark");
  }

  Ranges parse_hex(int digits) {
    char32_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = next();
      const char lower = static_cast<char>(c | 0x20);
      const bool is_digit = c >= '0' && c <= '9';
      if (!is_digit && (lower < 'a' || lower > 'f')) fail("a hexadecimal digit is expected");
      code = code << 4 | static_cast<char32_t>(is_digit ? c - '0' : lower - 'a' + 10);
    }
    return {{code, code}};
  }

  Expression parse_times(Expression item) {
    std::uint32_t least = 0;
    std::optional<std::uint32_t> most;
    if (take("*")) {
    } else if (take("+")) {
      least = 1;
    } else if (take("?")) {
      most = 1;
    } else if (take("{")) {
      least = parse_number();
      if (!take(",")) {
        most = least;
      } else if (next() != '}') {
        most = parse_number();
      }
      if (!take("}")) fail("'}' is expected");
      if (most && *most < least) fail("a repetition has bounds that go backwards");
    } else {
      return item;
    }
    take("?");  // as few as possible: the same texts
    if (next() == '*' || next() == '+' || next() == '?' || next() == '{') fail("a repetition of a repetition");
    budget_.take(1);
    return repeat(std::move(item), least, most);
  }
  std::uint32_t parse_number() {
    const std::size_t begin = at_;
    std::uint32_t value = 0;
    for (; next() >= '0' && next() <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint32_t>(next() - '0');
      if (value > kMostPatternTimes) fail("a repetition of too many times");
    }
    if (at_ == begin) fail("a number is expected");
    return value;
  }

  const std::string_view pattern_;
  ExpressionBudget& budget_;
  std::size_t at_ = 0;
};

#define HEED_DATE                                                                                   \
  "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"    \
  "02-(0[1-9]|1[0-9]|2[0-8]))|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])" \
  "00)-02-29)"
#define HEED_TIME "(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))"
#define HEED_LABEL "([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
#define HEED_OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

// RFC 3339 from the year 1000 on, RFC 1123, 5321, 2673, 9562.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kPatterns = {{
    {"date", "^" HEED_DATE "$"},
    {"time", "^" HEED_TIME "$"},
    {"date-time", "^" HEED_DATE "T" HEED_TIME "$"},
    {"duration",
     "^P([0-9]{1,9}W|([0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?|[0-9]{1,9}M([0-9]{1,9}D)?|[0-9]{1,9}D)"
     "(T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S))?|"
     "T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S))$"},
    {"email", "^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,10}){0,2}@" HEED_LABEL "(\\." HEED_LABEL "){1,2}$"},
    {"hostname", "^" HEED_LABEL "(\\." HEED_LABEL "){0,2}$"},
    {"ipv4", "^" HEED_OCTET "(\\." HEED_OCTET "){3}$"},
    {"uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
}};

#undef HEED_DATE
#undef HEED_TIME
#undef HEED_LABEL
#undef HEED_OCTET

}  // namespace

std::optional<Expression> in_json_string(const std::vector<CodePoints>& ranges) {
  const Ranges wanted = normal_ranges(ranges);
  const auto holds = [&](char32_t code) { return !common(wanted, {{code, code}}).empty(); };
  std::vector<Expression> parts;
  const Ranges plain = common(wanted, complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}));
  if (!plain.empty()) parts.push_back(characters(plain));
  constexpr std::array<std::pair<char32_t, std::string_view>, 7> kEscapes = {
      {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}}};
  for (const auto& [code, escape] : kEscapes) {
    if (holds(code)) parts.push_back(text(escape));
  }
  if (parts.empty()) {
    for (char32_t code = 0; code < 0x20; ++code) {
      if (holds(code)) parts.push_back(text(fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code))));
    }
  }
  if (parts.empty()) return {};
  return choice(std::move(parts));
}

Expression parse_pattern(std::string_view pattern, ExpressionBudget& budget) {
  return PatternParser(pattern, budget).parse();
}

std::optional<std::string_view> pattern_of_format(std::string_view format) {
  for (const auto& [name, pattern] : kPatterns) {
    if (name == format) return pattern;
  }
  return {};
}

}  // namespace heed::grammar
