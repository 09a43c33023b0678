// Masks against a plain recogniser that tries each token, and what a constraint lets come.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "grammar/gbnf_parser.h"
#include "grammar/json_schema.h"
#include "grammar/program.h"
#include "heed/error.h"
#include "tests/unit/grammar/earley.h"
#include "tests/unit/grammar/vocabularies.h"
#include "tokenizer/description.h"

namespace heed::grammar {
namespace {

using grammar_test::Constrained;
using grammar_test::Earley;
using grammar_test::golden_tokenizers;
using grammar_test::many_marks;
using grammar_test::Random;

/// Different in kind: recursion, ambiguity, characters of several bytes, classes that overlap, counts.
std::vector<std::pair<std::string, Grammar>> grammars() {
  std::vector<std::pair<std::string, Grammar>> made;
  const auto add = [&](const std::string& text) { made.emplace_back(text, parse_gbnf(text)); };
  add("root ::= \"(\" root \")\" | [a-z]+");
  add("root ::= \"a\" root \"a\" | \"a\" root \"b\" | \"é\"");
  add("root ::= word (\" \" word){0,5} [.!?]\nword ::= [^\\x00-\\x20.!?]+");
  add("root ::= ([^\\x00-\\x7F] | [a-e] | \"日本\")*");
  add("root ::= x y | y x\nx ::= [a-m]* \"1\"? | \"{\" x \"}\"\ny ::= [g-z ]{1,9} x?");
  add("root ::= (\"name\" | \"na\" root \"e\" | \"1\"+ \" \")+");
  add("root ::= . . .?");
  for (
      const char* schema :
      {R"({"type": "object"})", R"({"type": ["string", "null", "number"]})",
       R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 6}, "a": {"type": "integer", "minimum": -20, "maximum": 3000},
            "b": {"type": "array", "items": {"enum": ["x", "é", 1, null]}, "maxItems": 3}}, "required": ["a"], "additionalProperties": {"type": "boolean"}})",
       R"({"$defs": {"n": {"type": "object", "properties": {"x": {"type": "number"}, "e": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}},
            "required": ["x", "e"]}}, "$ref": "#/$defs/n"})"}) {
    made.emplace_back(schema, parse_json_schema(schema));
  }
  return made;
}

void check_masks(const Grammar& grammar, const Tokenizer& tokenizer, unsigned seed, std::size_t steps) {
  const TokenId end = grammar_test::end_of(tokenizer);
  Constrained constrained(grammar, tokenizer, {end});
  Earley earley(grammar);
  Random random(seed);
  std::string text;
  for (std::size_t step = 0; step < steps; ++step) {
    CAPTURE(text);
    std::vector<TokenId> expected;
    for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
      const auto token = static_cast<TokenId>(i);
      if (token == end) {
        if (earley.complete()) expected.push_back(token);
        continue;
      }
      const std::string piece = tokenizer.piece(token);
      if (piece.empty() || token == tokenizer.unknown_token()) continue;
      const std::size_t size = earley.size();
      if (earley.push(piece)) expected.push_back(token);
      earley.cut(size);
    }
    std::vector<TokenId> allowed;
    try {
      allowed = constrained.tokens();
    } catch (const Error& error) {
      // A small vocabulary may lack what comes next.
      CHECK(std::string(error.what()).find("the vocabulary has no token") != std::string::npos);
      CHECK(expected.empty());
      return;
    }
    REQUIRE(allowed == expected);
    if (allowed == std::vector<TokenId>{end}) return;
    TokenId next = end;
    while (next == end) next = allowed[grammar_test::below(random, allowed.size())];
    constrained.accept(next);
    text += tokenizer.piece(next);
    REQUIRE(earley.push(tokenizer.piece(next)));
  }
}

TEST_CASE("masks are what a plain recogniser says of each token") {
  std::vector<std::pair<std::string, const Tokenizer*>> vocabularies{{"many marks", &many_marks()}};
  for (const auto& [name, tokenizer] : golden_tokenizers()) vocabularies.emplace_back(name, tokenizer.get());
  for (const auto& one : grammars()) {
    CAPTURE(one.first);
    for (const auto& vocabulary : vocabularies) {
      CAPTURE(vocabulary.first);
      for (unsigned seed = 0; seed < (HEED_SLOWNESS > 1 ? 1 : 2); ++seed)
        check_masks(one.second, *vocabulary.second, seed, 10);
    }
  }
}

/// Cuts a text into tokens by chance: at each place one of those that go on with it.
std::vector<TokenId> cut(const std::string& text, const Tokenizer& tokenizer, Random& random) {
  std::vector<TokenId> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::vector<TokenId> fitting;
    for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
      const std::string piece = tokenizer.piece(static_cast<TokenId>(i));
      if (!piece.empty() && text.compare(at, piece.size(), piece) == 0) fitting.push_back(static_cast<TokenId>(i));
    }
    tokens.push_back(fitting[grammar_test::below(random, fitting.size())]);
    at += tokenizer.piece(tokens.back()).size();
  }
  return tokens;
}

TEST_CASE("texts are taken however they are cut into tokens, and others never") {
  const Tokenizer& tokenizer = many_marks();
  const Grammar grammar = parse_json_schema(
      R"({"type": "object", "properties": {"name": {"type": "string"}, "日本": {"type": "array"}}, "required": ["name"]})");
  const std::shared_ptr<Matcher> matcher = grammar_test::matcher_of(grammar, tokenizer);
  const std::vector<std::string> yes = {R"({"name":"é\u00e9😀"})", R"({ "name": "a", "日本": [1, {"x": null}, "😀"]})",
                                        "{\n  \"name\": \"日\\n\",\n  \"日本\": []\n}"};
  const std::vector<std::string> no = {R"({"日本":[]})",   R"({"name":"a",})",  R"({"name":"a"} )",
                                       R"({"name":"\x"})", "{\"name\":\"\n\"}", R"({"name":"a","日":1})"};
  Random random(3);
  for (int repeat = 0; repeat < 40 / HEED_SLOWNESS; ++repeat) {
    for (const bool expected : {true, false}) {
      for (const std::string& text : expected ? yes : no) {
        CAPTURE(text);
        Constrained constrained(matcher, {0});
        bool taken = true;
        for (const TokenId token : cut(text, tokenizer, random)) {
          taken = constrained.allows(token);
          if (!taken) {
            CHECK_THROWS_AS(constrained.accept(token), Error);
            break;
          }
          constrained.accept(token);
        }
        taken = taken && constrained.allows(0);
        CHECK(taken == expected);
      }
    }
  }
}

TEST_CASE("end tokens come where the text is complete, and then nothing but them") {
  const Tokenizer& tokenizer = many_marks();
  const auto token = [&](const std::string& text) {
    for (std::size_t i = 1; i < tokenizer.vocabulary_size(); ++i) {
      if (tokenizer.piece(static_cast<TokenId>(i)) == text) return static_cast<TokenId>(i);
    }
    return TokenId{-1};
  };
  const TokenId a = token("a"), b = token("b"), name = token("name");
  Constrained constrained(parse_gbnf("root ::= \"a\" \"b\"?"), tokenizer, {0, name});
  CHECK(!constrained.allows(0));
  CHECK(constrained.allows(a));
  CHECK_THROWS_WITH_AS(constrained.accept(0), "the grammar does not allow token 0 here: the text is not complete",
                       Error);
  CHECK_THROWS_WITH_AS(constrained.accept(b), doctest::Contains("its text may not come next"), Error);
  CHECK_THROWS_WITH_AS(constrained.accept(-1), doctest::Contains("it is outside the vocabulary"), Error);
  CHECK_THROWS_WITH_AS(constrained.accept(99999), doctest::Contains("it is outside the vocabulary"), Error);
  constrained.accept(a);
  CHECK(constrained.allows(0));
  CHECK(constrained.allows(b));
  CHECK(constrained.allows(name));  // an end token that has a text
  constrained.accept(b);
  CHECK(constrained.tokens() == std::vector<TokenId>{0, name});
  constrained.accept(name);
  CHECK(constrained.tokens() == std::vector<TokenId>{0, name});
  CHECK_THROWS_WITH_AS(constrained.accept(a), doctest::Contains("the text has ended"), Error);

  // Its text is not one that the grammar could take.
  Constrained named(parse_gbnf("root ::= \"name\" | \"x\""), tokenizer, {0, name});
  CHECK(!named.allows(name));
  CHECK(named.allows(token("x")));

  std::vector<std::uint32_t> small(1);
  CHECK_THROWS_WITH_AS(named.constraint->allowed(small), doctest::Contains("a mask of 1 words"), Error);
  std::vector<std::uint32_t> large(200, 0xFFFFFFFF);
  named.constraint->allowed(large);
  CHECK(large.back() == 0);
  const auto matcher = named.matcher;
  CHECK_THROWS_WITH_AS(constrain(matcher, {}), doctest::Contains("no end token"), Error);
  CHECK_THROWS_WITH_AS(constrain(matcher, {100000}), doctest::Contains("the end token 100000 is outside"), Error);
}

TEST_CASE("tokens without text never come, and what the vocabulary cannot spell is named") {
  const Tokenizer& gpt2 = *golden_tokenizers()[1].second;
  const TokenId end = grammar_test::end_of(gpt2);
  Constrained any(parse_gbnf("root ::= .*"), gpt2, {end});
  const std::vector<TokenId> allowed = any.tokens();
  CHECK(allowed.size() > 200);
  for (const TokenId token : allowed) CHECK((token == end || !gpt2.piece(token).empty()));

  TokenizerDescription description;
  description.pieces = {"</s>", "<unk>", "a", "ab"};
  description.kinds = {PieceKind::Control, PieceKind::Unknown, PieceKind::Normal, PieceKind::Normal};
  description.steps.emplace();
  description.show_unknown = true;
  const auto few = Tokenizer::from_description(description);
  Constrained named(parse_gbnf("root ::= \"abc\" | \"a<unk>\""), *few, {0});
  CHECK(named.tokens() == std::vector<TokenId>{2, 3});
  named.accept(3);
  CHECK_THROWS_WITH_AS(named.tokens(),
                       doctest::Contains("the vocabulary has no token for any character that may come next"), Error);
}

TEST_CASE("texts of one grammar share what was found out, and old states are forgotten") {
  const Tokenizer& tokenizer = many_marks();
  const std::shared_ptr<Matcher> matcher =
      grammar_test::matcher_of(parse_json_schema(R"({"type": "array"})"), tokenizer);
  std::vector<std::unique_ptr<Constrained>> texts;
  Random random(5);
  Constrained deep(matcher, {0});
  TokenId open = -1, close = -1;
  for (std::size_t i = 1; i < 257; ++i) {
    if (tokenizer.piece(static_cast<TokenId>(i)) == "[") open = static_cast<TokenId>(i);
    if (tokenizer.piece(static_cast<TokenId>(i)) == "]") close = static_cast<TokenId>(i);
  }
  const int levels = 1500;
  for (int i = 0; i < levels; ++i) {
    if (i % 50 == 0) CHECK(deep.allows(open));
    deep.accept(open);
  }
  // Others come and go meanwhile, with so many states that those of no text are forgotten.
  for (int i = 0; i < 60 / HEED_SLOWNESS; ++i) {
    Constrained other(matcher, {0});
    for (int step = 0; step < 40; ++step) {
      const std::vector<TokenId> allowed = other.tokens();
      const TokenId next = allowed[grammar_test::below(random, allowed.size())];
      other.accept(next);
      if (next == 0) break;
    }
  }
  for (int i = 0; i < levels; ++i) {
    CHECK(!deep.allows(0));
    deep.accept(close);
  }
  CHECK(deep.tokens() == std::vector<TokenId>{0});
}

/// What a text by chance ends with that goes on for so many tokens, and the processor's seconds of the longest one and
/// of making the grammar.
struct Outcome {
  std::string message;
  double longest = 0, first = 0;
};
Outcome write_hostile(const std::string& grammar, int tokens) {
  Outcome outcome;
  const auto now = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  double begin = now();
  try {
    Constrained constrained(parse_gbnf(grammar), many_marks(), {0});
    outcome.first = now() - begin;
    Random random(1);
    for (int i = 0; i < tokens; ++i) {
      begin = now();
      std::vector<TokenId> allowed = constrained.tokens();
      std::erase(allowed, 0);
      if (allowed.empty()) break;
      constrained.accept(allowed[grammar_test::below(random, allowed.size())]);
      outcome.longest = std::max(outcome.longest, now() - begin);
    }
  } catch (const Error& error) {
    outcome.message = error.what();
  }
  outcome.longest = std::max(outcome.longest, now() - begin);
  return outcome;
}

TEST_CASE("hostile grammars are refused by name before they take long, or written fast") {
  const std::string ambiguous = "grammar: it is too ambiguous: what may come next takes more steps";
  struct Hostile {
    std::string grammar, expected;  // nothing: it is heavy, but within the limits
  };
  std::vector<Hostile> hostile;
  // Many ways to read each text, with different ends.
  std::string rules = "root ::= r0\n";
  for (int i = 0; i < 40; ++i) {
    rules +=
        "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + " \"a\" | r" + std::to_string(i + 1) + " \"b\"\n";
  }
  hostile.push_back({rules + "r40 ::= [ab]*\n", ""});
  hostile.push_back({"root ::= [a-z]{0,2000} [a-y]{0,2000} [b-z]{0,2000} [a-x ]{0,2000}", ""});
  hostile.push_back(
      {"root ::= (\"a\" root \"x\"? | \"a\" root \"y\"? | \"a\" root \"z\"? | \"\") (\"a\"? root2)?\nroot2 ::= \"a\" "
       "root | \"a\" root2 \"q\" | \"b\"",
       ""});
  hostile.push_back({"root ::= ((((\"a\"?){50}){50}){50}){50} \"b\"", ""});
  std::string optional = "root ::= ";
  for (int i = 0; i < 3000; ++i) optional += "(\"a\" [b-z]?)? ";
  hostile.push_back({optional, ambiguous});
  hostile.push_back({"root ::= ", ambiguous});
  for (int i = 0; i < 20000; ++i) hostile.back().grammar += "([ab] [b-z]?)? ";
  hostile.push_back({"root ::= ([ab]{50000} [cd]){50000}", ""});  // each repetition is a rule
  hostile.push_back({"root ::= [ab]{0,60000} [cd]{0,60000} [ef]{0,60000} [gh]{0,60000} [ij]{0,60000}",
                     "the grammar becomes larger than 524288 nodes"});
  for (const Hostile& one : hostile) {
    CAPTURE(one.grammar.substr(0, 100));
    const Outcome outcome = write_hostile(one.grammar, 60);
    MESSAGE("hostile: first " << outcome.first << " s, longest " << outcome.longest
                              << " s: " << one.grammar.substr(0, 60) << ": " << outcome.message);
    CHECK(outcome.message.empty() == one.expected.empty());
    CHECK(outcome.message.find(one.expected) != std::string::npos);
    CHECK(outcome.first < 2.0 * HEED_SLOWNESS);
    CHECK(outcome.longest < 3.0 * HEED_SLOWNESS);  // a call ends after about a second
  }
}

TEST_CASE("a text that takes much for every token ends, and those beside it go on") {
  std::string rule = "root ::= [x]* \"!\" | ";
  for (int i = 0; i < 500; ++i) rule += "(\"a\" [b-z]?)? ";
  const std::shared_ptr<Matcher> matcher = grammar_test::matcher_of(parse_gbnf(rule), many_marks());
  Matcher::Place light(*matcher);
  REQUIRE(matcher->accept(light, "x"));
  int tokens = 0;
  {
    Matcher::Place heavy(*matcher);
    std::vector<std::uint32_t> words((matcher->trie().vocabulary_size() + 31) / 32);
    const auto go_on = [&] {
      for (; tokens < 200; ++tokens) {
        matcher->allowed(heavy, words);
        REQUIRE(matcher->accept(heavy, "a"));
      }
    };
    CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("grammar: it is too ambiguous"), Error);
    MESSAGE("it ended after " << tokens << " tokens");
    CHECK(tokens > 1);  // no call alone took too much
  }
  std::vector<std::uint32_t> words((matcher->trie().vocabulary_size() + 31) / 32);
  for (int i = 0; i < 1000; ++i) {
    CHECK(!matcher->allowed(light, words));
    CHECK(matcher->accept(light, "x"));
  }
  CHECK(matcher->accept(light, "!"));
  CHECK(matcher->complete(light));
}

TEST_CASE("what a grammar keeps is bounded by its size, with wide states and with many stacks") {
  constexpr std::size_t kMost = std::size_t{80} << 20;  // a call may pass 64 MiB by what it makes
  for (const char* rules : {"root ::= [a-z]{0,700} [a-y]{0,700} [b-z]{0,700} [a-x]{0,700} \"!\"",
                            "root ::= \"a\" root \"x\" | \"b\" root \"y\" | \"c\" root \"z\"? | \"\""}) {
    CAPTURE(rules);
    const std::shared_ptr<Matcher> matcher = grammar_test::matcher_of(parse_gbnf(rules), many_marks());
    std::size_t largest = 0, before = 0, forgotten = 0;
    Random random(9);
    std::string letters(600, 'a');
    for (char& letter : letters) letter = static_cast<char>('a' + grammar_test::below(random, 3));
    std::vector<std::uint32_t> now((matcher->trie().vocabulary_size() + 31) / 32), then(now);
    const auto last_mask = [&](std::vector<std::uint32_t>& words) {
      Matcher::Place place(*matcher);
      for (const char letter : letters) REQUIRE(matcher->accept(place, {&letter, 1}));
      matcher->allowed(place, words);
    };
    last_mask(then);
    for (int text = 0; text < 400 && forgotten < 2; ++text) {
      Matcher::Place place(*matcher);
      for (int i = 0; i < 650; ++i) {
        const char letter = static_cast<char>('a' + grammar_test::below(random, 3));
        REQUIRE(matcher->accept(place, {&letter, 1}));
        const std::size_t bytes = matcher->kept_bytes();
        largest = std::max(largest, bytes);
        forgotten += bytes < before / 2;
        before = bytes;
      }
    }
    MESSAGE("at most " << (largest >> 20) << " MiB, forgotten " << forgotten << " times");
    CHECK(forgotten == 2);
    CHECK(largest < kMost);
    last_mask(now);
    CHECK(now == then);
  }
}

// HEED_REAL_TOKENIZERS: a folder that tests/real_tokenizers.sh filled.
TEST_CASE("masks of library tokenizers with real vocabularies: how long they take") {
  const char* folder = std::getenv("HEED_REAL_TOKENIZERS");
  if (folder == nullptr) {
    MESSAGE("SKIPPED: masks of real vocabularies: HEED_REAL_TOKENIZERS names no folder");
    return;
  }
  const std::vector<std::pair<std::string, std::string>> schemas = {
      {"object", R"({"type": "object"})"},
      {"person",
       R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
           "email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
           "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
           "required": ["street", "city"], "additionalProperties": false}}, "required": ["name", "age", "tags", "address"], "additionalProperties": false})"},
      {"bounded string", R"({"type": "string", "maxLength": 200})"},
      {"pattern", R"({"type": "string", "pattern": "^(\\w+ )*\\w+\\.$"})"}};
  for (const char* name : {"llama2", "llama3", "gemma3"}) {
    const auto path = std::filesystem::path(folder) / name / "tokenizer.json";
    if (!std::filesystem::exists(path)) continue;
    const auto tokenizer = grammar_test::open_tokenizer(path);
    // The processor's time, which other programs do not disturb.
    const auto now = [] { return std::clock(); };
    const auto ms = [&](std::clock_t begin) { return static_cast<double>(now() - begin) * 1000 / CLOCKS_PER_SEC; };
    auto begin = now();
    const auto trie = std::make_shared<const TokenTrie>(*tokenizer);
    MESSAGE(std::string(name) << ": " << tokenizer->vocabulary_size() << " tokens, tree of " << trie->nodes().size()
                              << " nodes in " << ms(begin) << " ms");
    const TokenId end = grammar_test::end_of(*tokenizer);
    for (const auto& [what, schema] : schemas) {
      begin = now();
      const auto matcher = std::make_shared<Matcher>(compile(parse_json_schema(schema)), trie);
      const double made = ms(begin);
      std::vector<double> fresh;
      std::vector<std::uint32_t> mask((tokenizer->vocabulary_size() + 31) / 32);
      for (unsigned seed = 0; seed < 20; ++seed) {
        const std::shared_ptr<TokenConstraint> text = constrain(matcher, {end});
        Random random(seed);
        for (int i = 0; i < 100; ++i) {
          begin = now();
          text->allowed(mask);
          fresh.push_back(ms(begin));
          std::vector<TokenId> allowed;
          for (std::size_t token = 0; token < tokenizer->vocabulary_size(); ++token) {
            if (mask[token / 32] >> (token % 32) & 1) allowed.push_back(static_cast<TokenId>(token));
          }
          // As models do: now and then what is short and ends something.
          TokenId next = allowed[grammar_test::below(random, allowed.size())];
          for (int k = 0; k < 20 && trie->bytes(next).size() > 1; ++k) {
            next = allowed[grammar_test::below(random, allowed.size())];
          }
          text->accept(next);
          if (next == end) break;
        }
      }
      std::ranges::sort(fresh);
      double sum = 0;
      for (const double one : fresh) sum += one;
      MESSAGE(std::string(name) << ", " << what << ": grammar " << made << " ms; " << fresh.size() << " masks: median "
                                << fresh[fresh.size() / 2] << " ms, mean " << sum / static_cast<double>(fresh.size())
                                << " ms, 99 % " << fresh[fresh.size() * 99 / 100] << " ms, longest " << fresh.back()
                                << " ms");
      CHECK(fresh[fresh.size() / 2] < 5.0);
    }
  }
}

}  // namespace
}  // namespace heed::grammar
