#include "tokenizer/words.h"

#include <doctest/doctest.h>

#include "heed/error.h"
#include "tokenizer/word_text.h"

namespace heed {
namespace {

using Ids = std::vector<TokenId>;

std::unique_ptr<Tokenizer> tokenizer_of(const std::string& json) { return Tokenizer::from_json(json); }

std::string problem_of(const std::string& json) {
  try {
    WordVocabulary::from_json("words.json", json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

const std::string kFrench =
    R"({"type": "words", "tokens": ["<pad>", "<s>", "</s>", "<unk>", "je", "suis", "."],
        "unknown": "<unk>", "begin": "<s>", "add_begin": true, "end": "</s>", "pad": "<pad>", "lower_case": true})";

TEST_CASE("words: the example of tokenizer_format.md, and what becomes of white space and names of special tokens") {
  const auto tokenizer = tokenizer_of(kFrench);
  CHECK(tokenizer->encode("Je suis ici") == Ids{1, 4, 5, 3, 2});
  CHECK(tokenizer->encode("\t\u3000je\n suis\u00a0.", false) == Ids{4, 5, 6});
  CHECK(tokenizer->encode("") == Ids{1, 2});
  CHECK(tokenizer->encode("</s> <pad> je<s>", false) == Ids{3, 3, 3});
  CHECK(tokenizer->decode({1, 4, 5, 0, 3, 6, 2}) == "je suis <unk> .");  // a word stood there
  CHECK(tokenizer->unknown_token() == TokenId{3});
  CHECK(tokenizer->piece(5) == " suis");
  CHECK(tokenizer->end_tokens() == Ids{2});
  CHECK(tokenizer->begin_token() == TokenId{1});
  CHECK(tokenizer->vocabulary_size() == 7);
  CHECK_THROWS_WITH_AS(tokenizer->piece(7), doctest::Contains("no token 7"), Error);
  CHECK_THROWS_WITH_AS(tokenizer->encode("\xff"), doctest::Contains("not valid UTF-8"), Error);
}

TEST_CASE("words: an object of tokens and ids, without unknown: what is not there is named") {
  const auto tokenizer = tokenizer_of(R"({"type": "words", "tokens": {"b": 1, "a": 0}})");
  CHECK(tokenizer->encode("b a b") == Ids{1, 0, 1});
  CHECK_THROWS_WITH_AS(tokenizer->encode("a mot\u00e9 b"), doctest::Contains("the word 'mot\u00e9' is not in"), Error);
}

TEST_CASE("characters: code points, spaces too") {
  const auto tokenizer =
      tokenizer_of(R"({"type": "characters", "tokens": ["<s>", " ", "日", "a", "🙂"], "begin": "<s>",
                                          "add_begin": false})");
  CHECK(tokenizer->encode("a 日🙂 ") == Ids{3, 1, 2, 4, 1});
  CHECK(tokenizer->decode({0, 3, 1, 2, 4, 1}) == "a 日🙂 ");
  CHECK_THROWS_WITH_AS(tokenizer->encode("ab"), doctest::Contains("the character 'b' is not in"), Error);
}

TEST_CASE("words: what they are written as is read as the same") {
  const WordVocabulary vocabulary = WordVocabulary::from_json("words.json", kFrench);
  CHECK(WordVocabulary::from_json("again", vocabulary.to_json()).to_json() == vocabulary.to_json());
  CHECK(tokenizer_of(vocabulary.to_json())->encode("Je suis ici") == Ids{1, 4, 5, 3, 2});
}

TEST_CASE("words: what is no vocabulary is refused, naming the place") {
  struct Case {
    const char* json;
    const char* message;
  };
  for (const Case& test : {
           Case{"{", "not valid JSON"},
           Case{R"({"type": "letters"})", "'type' is neither"},
           Case{R"({"type": "words"})", "'tokens' is no list"},
           Case{R"({"type": "words", "tokens": []})", "0 tokens"},
           Case{R"({"type": "words", "tokens": ["a", "a"]})", "token 'a' has the ids 0 and 1"},
           Case{R"({"type": "words", "tokens": ["a", ""]})", "token 1 is empty"},
           Case{R"({"type": "words", "tokens": ["a", 1]})", "expected strings"},
           Case{R"({"type": "words", "tokens": {"a": 0, "b": 2}})", "\"b\" has the id 2, but there are only 2"},
           Case{R"({"type": "words", "tokens": {"a": 0, "b": 0}})", "\"a\" and \"b\" have the same id 0"},
           Case{R"({"type": "words", "tokens": {"a": -1}})", "\"a\" has the id -1"},
           Case{R"({"type": "words", "tokens": ["a"], "end": "b"})", "'end' is \"b\", which is not among"},
           Case{R"({"type": "words", "tokens": ["a"], "end": 0})", "'end' is 0; expected a token"},
           Case{R"({"type": "words", "tokens": ["a", "b"], "unknown": "a", "pad": "a"})", "named for two purposes"},
           Case{R"({"type": "words", "tokens": ["a"], "lowercase": true})", "\"lowercase\" is not known"},
           Case{R"({"type": "words", "tokens": ["a"], "lower_case": 1})", "expected true or false"},
           Case{R"({"type": "words", "tokens": ["a"], "normalize": "nfc"})", "'normalize'"},
           Case{R"({"type": "words", "tokens": ["a"], "version": 4})", "version"},
       }) {
    CAPTURE(test.json);
    CHECK_MESSAGE(problem_of(test.json).find(test.message) != std::string::npos, problem_of(test.json));
  }
}

// What Python 3.13 makes of these by the tutorial's own functions.
TEST_CASE("words: PyTorch's tutorial's normalizeString, in its later and earlier edition") {
  struct Case {
    const char* text;
    const char* later;
    const char* earlier;
  };
  for (const Case& test : {
           Case{"Je suis prêt.", "je suis pret", "je suis pret ."},
           Case{"  Ça va?!  Où est-il...  ", "ca va ? ! ou est il", "ca va ? ! ou est il . . ."},
           Case{"ÅÇÉÎÑÖÜŸ ẞßøæ İıĲ", "aceinouy i", "aceinouy i"},
           Case{"J'ai 3 ans", "j ai ans", "j ai ans"},
           Case{"e\u0301te\u0301 \u212B \u212A", "ete a k", "ete a k"},
           Case{"日本 a", "a", "a"},
           Case{"", "", ""},
           Case{"...", "", ". . ."},
           Case{"ờ ǖ ḉ", "o u c", "o u c"},
       }) {
    CAPTURE(test.text);
    CHECK(tutorial_text(test.text, false) == test.later);
    CHECK(tutorial_text(test.text, true) == test.earlier);
  }
  const std::string with_stop = R"({"type": "words", "tokens": ["a", "."], "normalize": "pytorch-tutorial"})";
  CHECK(tokenizer_of(with_stop)->encode("À.") == Ids{0, 1});
  const std::string without = R"({"type": "words", "tokens": ["a", "b"], "normalize": "pytorch-tutorial"})";
  CHECK(tokenizer_of(without)->encode("À.B") == Ids{0, 1});
}

TEST_CASE("words: lower case is Unicode's") { CHECK(lower_case("ÀÉ ΑΩ ЖЯ 日本 ABC") == "àé αω жя 日本 abc"); }

}  // namespace
}  // namespace heed
