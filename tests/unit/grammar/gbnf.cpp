// Grammars in GBNF: what texts they take, what is wrong with them, and the bytes of characters.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "grammar/gbnf_parser.h"
#include "grammar/program.h"
#include "heed/error.h"
#include "tests/unit/grammar/earley.h"
#include "tests/unit/grammar/vocabularies.h"
#include "tokenizer/utf8.h"

namespace heed::grammar {
namespace {

using grammar_test::Earley;
using grammar_test::takes;

struct TakesCase {
  std::string grammar;
  std::vector<std::string> yes, no;
};

const std::vector<TakesCase>& takes_cases() {
  static const std::vector<TakesCase> kCases = {
      {"root ::= \"abc\"", {"abc"}, {"", "ab", "abcd", "abd"}},
      {"root ::= \"\"", {""}, {"a"}},
      {"root ::= \"a\" | ", {"", "a"}, {"aa"}},
      {"root ::= \"a\"*", {"", "a", "aaaa"}, {"b", "ab"}},
      {"root ::= \"ab\"+ \"c\"?", {"ab", "ababc"}, {"", "c", "abcc", "aba"}},
      {"root ::= [a-c]{2}", {"ab", "cc"}, {"a", "abc", "ad"}},
      {"root ::= [a-c]{2,}", {"ab", "abcabc"}, {"a", ""}},
      {"root ::= [a-c] {1,3} \"!\"", {"a!", "abc!"}, {"!", "abca!", "abc"}},
      {"root ::= [^a-z\\n]", {"A", "é", "日", "😀", "-"}, {"a", "z", "\n", "", "AA"}},
      {"root ::= [a\\x2Dz-]+", {"a-z"}, {"b"}},
      {"root ::= [-a]+", {"-a-"}, {"b"}},
      {"root ::= [\\u65E5\\u672C\\U0001F600-\\U0001F64F]+", {"日本", "😀", "😃日"}, {"日x", "語", "🚀"}},
      {"root ::= . .", {"ab", "日本", "\n\n", "é😀"}, {"a", "abc", "\xE6\x97"}},
      {"root ::= \"\\x41\\u00e9\\U0001F600\\t\\\"\\\\\\[\\]\"", {"Aé😀\t\"\\[]"}, {"A"}},
      {"root ::= a | b # the end\n# more\na ::= \"x\" b\nb ::= \"y\"\n", {"xy", "y"}, {"x", "yy"}},
      {"root ::= (\n  \"a\" |\n  \"b\"\n) \"c\"", {"ac", "bc"}, {"c", "a"}},
      {"root ::= \"a\"\n  | \"b\" \"c\"\n  # a remark\n  | \"d\"\nother ::= \"e\"", {"a", "bc", "d"}, {"b", "e"}},
      {"root ::=\n  \"a\"", {"a"}, {""}},
      {"root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"}, {"(x", "x)", "()"}},
      {"root ::= \"a\" root \"a\" | \"a\" root \"b\" | \"c\"", {"c", "aacba", "aaacbba"}, {"ac", "aaca"}},
      {"root ::= (\"a\"?)* \"b\"", {"b", "aab"}, {"a", "ba"}},
      {"root ::= (\"a\"*)* (\"b\"*)+", {"", "aab", "bb"}, {"ba"}},
      {"root ::= x x x\nx ::= \"a\"? | \"b\"?", {"", "a", "ab", "bab"}, {"aaaa"}},
      {"root ::= x{3} \"!\"\nx ::= (\"a\" | \"\")", {"!", "a!", "aaa!"}, {"aaaa!"}},
      {"root ::= list\nlist ::= item (\",\" item)*\nitem ::= [0-9]+ | \"[\" list \"]\"",
       {"1", "1,[2,[3]],4"},
       {"1,", "[1"}},
      {"root ::= ((\"ab\"{2,3}){2}){0,1}", {"", "abababab", "abababababab"}, {"abab", "ababababababab"}},
      {"root ::= [^\\x00-\\x7F]",
       {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"},
       {"\x7F", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC2"}},
  };
  return kCases;
}

TEST_CASE("GBNF: texts that grammars take and do not take") {
  for (const TakesCase& one : takes_cases()) {
    CAPTURE(one.grammar);
    const Grammar grammar = parse_gbnf(one.grammar);
    for (const bool expected : {true, false}) {
      for (const std::string& text : expected ? one.yes : one.no) {
        CAPTURE(text);
        CHECK(takes(grammar, text) == expected);
        Earley earley(grammar);
        CHECK((earley.push(text) && earley.complete()) == expected);
      }
    }
  }
}

std::string refusal(const std::string& grammar) {
  try {
    compile(parse_gbnf(grammar));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("GBNF: what is wrong is named with its line and column") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "grammar: there is no rule 'root', with which texts begin"},
      {"a ::= \"x\"", "grammar: there is no rule 'root', with which texts begin"},
      {"root ::= \"a\" b", "grammar: line 1, column 14: there is no rule 'b'"},
      {"root ::= \"a\"\nroot ::= \"b\"", "grammar: line 2, column 1: the rule 'root' is there already"},
      {"root = \"a\"", "grammar: line 1, column 6: expected '::=', found '='"},
      {"root ::= \"a", "grammar: line 1, column 10: this text does not end with '\"' on its line; \\n is a new line"},
      {"root ::= \"日\" [a",
       "grammar: line 1, column 14: this class does not end with ']' on its line; \\n is a new line"},
      {"root ::= [z-a]", "grammar: line 1, column 11: the range goes backwards"},
      {"root ::= []", "grammar: line 1, column 10: no character is in this class"},
      {"root ::= [^\\x00-\\U0010FFFF]", "grammar: line 1, column 10: no character is in this class"},
      {"root ::= (\"a\"", "grammar: line 1, column 14: expected ')' or '|', found the end of the grammar"},
      {"root ::= \"a\")", "grammar: line 1, column 13: expected '|' or the end of the line, found ')'"},
      {"root ::= *", "grammar: line 1, column 10: '*' repeats what stands before it, but nothing does"},
      {"root ::= \"a\"{2",
       "grammar: line 1, column 15: expected '}', as in {2}, {2,} or {2,5}, found the end of the grammar"},
      {"root ::= \"a\"{x}", "grammar: line 1, column 14: expected a number, found 'x'"},
      {"root ::= \"a\"{3,2}", "grammar: line 1, column 13: at least 3 but at most 2 times"},
      {"root ::= \"a\"{99999999999}", "grammar: line 1, column 14: a repetition of more than 65536 times"},
      {"root ::= \"\\q\"",
       "grammar: line 1, column 11: no such escape; there are \\n \\r \\t \\\" \\\\ \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH"},
      {"root ::= \"\\x4g\"", "grammar: line 1, column 14: expected 2 hexadecimal digits, found 'g'"},
      {"root ::= \"\\uD800\"", "grammar: line 1, column 11: there is no such character"},
      {"root ::= <[5]>",
       "grammar: line 1, column 10: tokens (<[1]>, <name>) cannot be written in grammars here; write the text they "
       "stand for"},
      {"root ::= \"a\" |\nb ::= \"c\"",
       "grammar: line 2, column 1: an alternative is expected, found the next rule; \"\" is the empty text"},
      {"root ::= \"a\xFF\"", "grammar: line 1, column 12: this byte is not valid UTF-8"},
      {"root ::= \"a\"\n\n ?", "grammar: line 3, column 2: expected the name of a rule, found '?'"},
      {"root ::= root \"a\" | \"b\"",
       "grammar: the rule 'root' is left recursive: it may begin with itself; let it begin with something else, or "
       "repeat with *"},
      {"root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= a \"y\" | \"z\"", "is left recursive"},
      {"root ::= (\"x\"? root)* \"y\"", "is left recursive"},
      {"root ::= \"a\" root",
       "grammar: the rule 'root' has no text that ends: every alternative needs another of the same kind"},
      {"root ::= \"a\" | b\nb ::= \"x\" c\nc ::= \"y\" b", "has no text that ends"},
      {"root ::= ((\"ab\" [^c]){60000}){3}", ""},
      {"root ::= \"ab\"{60000} [^c]{60000} \"ab\"{60000} [^c]{60000} \"ab\"{60000} \"cd\"{60000} \"ef\"{60000}",
       "becomes larger than 524288 nodes"},
  };
  for (const auto& one : cases) {
    const auto& grammar = one.first;
    const auto& expected = one.second;
    CAPTURE(grammar.substr(0, 200));
    const std::string found = refusal(grammar);
    CAPTURE(found);
    if (expected.starts_with("grammar: ") || expected.empty()) {
      CHECK(found == expected);
    } else {
      CHECK(found.find(expected) != std::string::npos);
    }
  }
  CHECK(refusal("root ::= " + std::string(101, '(') + "\"a\"" + std::string(101, ')'))
            .find("groups nested deeper than 100") != std::string::npos);
  CHECK(refusal("root ::= " + std::string(100, '(') + "\"a\"" + std::string(100, ')')).empty());
}

TEST_CASE("the bytes of classes are those of their code points") {
  const std::vector<CodePoints> ranges = {{0, kLastCodePoint},
                                          {0x41, 0x41},
                                          {0x7F, 0x80},
                                          {0x7FF, 0x800},
                                          {0xFFFF, 0x10000},
                                          {0xE9, 0x65E5},
                                          {0x3FF, 0xD7FF},
                                          {0xE000, 0x10ABCD},
                                          {0x1F600, 0x1F64F},
                                          {0x81, 0xFFE},
                                          {0x10FFFE, kLastCodePoint}};
  for (const CodePoints& given : ranges) {
    std::size_t expected = 0;
    std::vector<ByteSequence> sequences;
    for (const CodePoints& range : normal_ranges({given})) {
      const std::vector<ByteSequence> some = byte_sequences(range);
      sequences.insert(sequences.end(), some.begin(), some.end());
    }
    std::size_t wrong = 0;
    for (char32_t code = 0; code <= kLastCodePoint; ++code) {
      if (code >= 0xD800 && code <= 0xDFFF) continue;
      const bool inside = code >= given.first && code <= given.last;
      expected += inside;
      std::string bytes;
      append_utf8(code, bytes);
      wrong += find_invalid_utf8(bytes) != bytes.size() || decode_character(bytes, 0).code != code;
      const auto matching = std::ranges::count_if(sequences, [&](const ByteSequence& sequence) {
        if (sequence.size() != bytes.size()) return false;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          const auto byte = static_cast<std::uint8_t>(bytes[i]);
          if (byte < sequence[i].first || byte > sequence[i].second) return false;
        }
        return true;
      });
      wrong += matching != (inside ? 1 : 0);
    }
    CHECK(wrong == 0);
    std::size_t spelled = 0;  // no more than those
    for (const ByteSequence& sequence : sequences) {
      std::size_t product = 1;
      for (const auto& [first, last] : sequence) product *= last - first + 1u;
      spelled += product;
    }
    CHECK(spelled == expected);
  }
}

}  // namespace
}  // namespace heed::grammar
