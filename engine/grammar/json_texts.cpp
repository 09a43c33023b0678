#include "grammar/json_texts.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "grammar/number_ranges.h"
#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed::grammar {
namespace {

constexpr std::uint32_t kMostIndentation = 20;
constexpr std::size_t kLongestOtherName = 128;  // characters

std::vector<CodePoints> plain_in_strings() { return complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}}); }

/// Names by their characters.
struct NameTree {
  bool is_name = false;
  std::map<char32_t, std::unique_ptr<NameTree>> next;
};

/// What may follow a beginning of a name so that the whole is none.
Expression no_name(const NameTree& tree, const Expression& rest, ExpressionBudget& budget) {
  constexpr std::size_t kOthers = 5;  // made besides one for each character that begins a name
  budget.take(kOthers + 2 * tree.next.size() + tree.next.size() / 8);
  std::vector<Expression> parts;
  std::vector<CodePoints> known;
  for (const auto& [code, below] : tree.next) {
    known.push_back({code, code});
    parts.push_back(sequence_of(characters({{code, code}}), no_name(*below, rest, budget)));
  }
  parts.push_back(sequence_of(characters(common(plain_in_strings(), complement(known))), Expression(rest)));
  if (!tree.is_name) parts.push_back(text(""));
  return choice(std::move(parts));
}

}  // namespace

Expression JsonTexts::once(const char* name, Expression (JsonTexts::*make)()) {
  const auto [found, added] = made_.emplace(name, static_cast<std::uint32_t>(grammar_.rules.size()));
  const std::uint32_t number = found->second;
  if (added) {
    grammar_.rules.push_back({name, {}});
    Expression body = (this->*make)();
    grammar_.rules[number].body = std::move(body);
  }
  return rule(number);
}

Expression JsonTexts::space() { return once("white space", &JsonTexts::make_space); }
Expression JsonTexts::value() { return once("value", &JsonTexts::make_value); }
Expression JsonTexts::string() { return once("string", &JsonTexts::make_string); }
Expression JsonTexts::character() { return once("character", &JsonTexts::make_character); }
Expression JsonTexts::number() { return once("number", &JsonTexts::make_number); }
Expression JsonTexts::integer() { return once("integer", &JsonTexts::make_integer); }

Expression JsonTexts::make_space() {
  return choice({text(""), text(" "),
                 sequence({text("\n"), repeat(characters({{' ', ' '}, {'\t', '\t'}}), 0, kMostIndentation)})});
}

Expression JsonTexts::make_character() {
  const Expression hex = characters({{'0', '9'}, {'a', 'f'}, {'A', 'F'}});
  const Expression d = characters({{'d', 'd'}, {'D', 'D'}});
  // One outside the surrogates, or a pair of them.
  const Expression alone =
      choice({sequence({characters({{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}}), repeat(hex, 3, 3)}),
              sequence({d, characters({{'0', '7'}}), repeat(hex, 2, 2)})});
  const Expression pair = sequence({d, characters({{'8', '9'}, {'a', 'b'}, {'A', 'B'}}), repeat(hex, 2, 2), text("\\u"),
                                    d, characters({{'c', 'f'}, {'C', 'F'}}), repeat(hex, 2, 2)});
  const Expression mark =
      characters({{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}});
  return choice({characters(plain_in_strings()),
                 sequence({text("\\"), choice({mark, sequence({text("u"), choice({alone, pair})})})})});
}

Expression JsonTexts::make_string() { return sequence({text("\""), repeat(character(), 0, {}), text("\"")}); }

Expression JsonTexts::make_integer() { return *integers_between({}, {}); }

Expression JsonTexts::make_number() {
  const Expression digit = characters({{'0', '9'}});
  // Two digits, or doubles could not hold it.
  const Expression exponent = sequence(
      {characters({{'e', 'e'}, {'E', 'E'}}), optional(characters({{'+', '+'}, {'-', '-'}})), repeat(digit, 1, 2)});
  return sequence({optional(text("-")),
                   choice({text("0"), sequence({characters({{'1', '9'}}), repeat(digit, 0, kMostDigits - 1)})}),
                   optional(sequence({text("."), repeat(digit, 1, kMostDigits)})), optional(exponent)});
}

Expression JsonTexts::make_value() {
  const auto list = [&](const char* begin, const char* end, const Expression& item) {
    const Expression more = repeat(sequence({text(","), space(), item}), 0, {});
    return sequence({text(begin), choice({text(end), sequence({space(), item, more, space(), text(end)})})});
  };
  return choice({list("{", "}", pair(string(), value())), list("[", "]", value()), string(), number(), text("true"),
                 text("false"), text("null")});
}

Expression JsonTexts::pair(Expression key, Expression value) {
  return sequence_of(std::move(key), text(":"), space(), std::move(value));
}

Expression JsonTexts::other_key(const std::vector<std::string>& names) {
  if (names.empty()) return string();
  NameTree tree;
  for (const std::string& name : names) {
    NameTree* at = &tree;
    std::size_t length = 0;
    bool is_plain = true;
    for (std::size_t i = 0; i < name.size();) {
      const DecodedCharacter character = decode_character(name, i);
      i += character.size;
      is_plain = is_plain && !common(plain_in_strings(), {{character.code, character.code}}).empty();
      if (++length > kLongestOtherName) {
        throw Error(fmt::format("names of properties have up to {} characters where others may come besides",
                                kLongestOtherName));
      }
    }
    if (!is_plain) continue;  // a key without escapes cannot be it
    for (std::size_t i = 0; i < name.size();) {
      const DecodedCharacter character = decode_character(name, i);
      i += character.size;
      std::unique_ptr<NameTree>& next = at->next[character.code];
      if (next == nullptr) next = std::make_unique<NameTree>();
      at = next.get();
    }
    at->is_name = true;
  }
  grammar_.rules.push_back({"key", repeat(characters(plain_in_strings()), 0, {})});
  const Expression rest = rule(static_cast<std::uint32_t>(grammar_.rules.size() - 1));
  return sequence_of(text("\""), no_name(tree, rest, budget_), text("\""));
}

}  // namespace heed::grammar
