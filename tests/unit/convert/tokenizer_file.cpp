#include <doctest/doctest.h>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/translation_tokenizer.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Ids = std::vector<TokenId>;

std::unique_ptr<Tokenizer> opened(const TempFolder& folder, const std::string& content, std::int64_t vocabulary = 100) {
  return Tokenizer::from_json(read_tokenizer_file(folder.write("tokenizer", content), vocabulary));
}
std::string problem(const std::string& content, std::int64_t vocabulary = 100) {
  const TempFolder folder;
  return error_of([&] { read_tokenizer_file(folder.write("tokenizer", content), vocabulary); });
}

TEST_CASE("a tokenizer's file: the tutorial's Lang as JSON, whose encoder reads EOS behind the words") {
  const TempFolder folder;
  const auto lang =
      opened(folder, R"({"name": "fra", "word2index": {"je": 2, "suis": 3, ".": 4}, "word2count": {"je": 9},
                  "index2word": {"0": "SOS", "1": "EOS", "2": "je", "3": "suis", "4": "."}, "n_words": 5})");
  CHECK(lang->encode("Je suis.") == Ids{2, 3, 4, 1});
  CHECK(lang->decode({2, 3, 4, 1}) == "je suis .");
  CHECK(lang->begin_token() == TokenId{0});
  CHECK(lang->end_tokens() == Ids{1});
  CHECK(contains(error_of([&] { lang->encode("Je mange"); }), "the word 'mange' is not in"));
}

TEST_CASE("a tokenizer's file: words, heed's own form, SentencePiece and Hugging Face are told apart") {
  const TempFolder folder;
  const std::string words = R"({"type": "words", "tokens": ["a", "b"]})";
  CHECK(opened(folder, words)->encode("b a") == Ids{1, 0});
  CHECK(opened(folder, R"({"version": 2, "pieces": ["a", "b"]})")->encode("ab") == Ids{0, 1});
  const auto model = read_whole(golden_folder().parent_path() / "tokenizers" / "char" / "tokenizer.model");
  CHECK(opened(folder, model, 400)->vocabulary_size() == 400);
  const auto json = read_whole(golden_folder() / "gpt2" / "tokenizer.json");
  CHECK(opened(folder, json, 400)->decode({0}) == "!");
}

TEST_CASE("a tokenizer's file: words in a list, or by their ids") {
  const TempFolder folder;
  const auto list = opened(folder, R"(["<pad>", "<unk>", "a", "b"])");
  CHECK(list->encode("b c a") == Ids{3, 1, 2});
  CHECK(list->decode({2, 3}) == "a b");
  CHECK(opened(folder, R"({"b": 0, "a": 2, "UNK": 1})")->encode("a x b") == Ids{2, 1, 0});
  CHECK(contains(error_of([&] { opened(folder, R"(["a", "b"])")->encode("a x"); }), "the word 'x' is not in"));
  CHECK(contains(problem(R"({"a": 1})"), "the id of \"a\" is 1; expected each of 0 to 0 once"));
  CHECK(contains(problem(R"({"a": 0, "b": 0})"), "words \"a\" and \"b\" have the same id 0"));
  for (const char* part : {"\u0120the", "\u2581the", "##ing", "lo</w>", "lo@@"}) {
    CHECK(contains(problem(nlohmann::json({{"<s>", 0}, {part, 1}}).dump()), "is a list of parts of words"));
    CHECK(contains(problem(nlohmann::json({"<s>", part}).dump()), "is a list of parts of words"));
  }
  CHECK(contains(problem(R"(["a", 3])"), "a list of words holds 3"));
  CHECK(contains(problem(R"(["a", "a"])"), "'a'"));
  CHECK(contains(problem(R"(["a", "b"])", 1), "has 2 tokens; the model has the ids below 1"));
}

TEST_CASE("a tokenizer's file: what is none is refused by name") {
  CHECK(contains(problem(R"({"word2index": {"a": 2, "b": 2}})"), "words \"a\" and \"b\" have the same id 2"));
  CHECK(contains(problem(R"({"word2index": {"a": 2, "b": 4}})"), "the id of \"b\" is 4; expected 2 to 3"));
  CHECK(contains(problem(R"({"word2index": {"a": 1}})"), "0 and 1 are SOS and EOS"));
  CHECK(contains(problem(R"({"word2index": {"a": 2}, "n_words": 4})"), "'n_words' is 4, but word2index has 1"));
  CHECK(contains(problem(R"({"word2index": []})"), "not an object of words"));
  CHECK(contains(problem(R"({"a": "b"})"), "is no tokenizer that heed knows"));
  CHECK(contains(problem("{"), "not valid JSON"));
  CHECK(contains(problem("hello"), "not a SentencePiece model"));
  CHECK(contains(problem(R"({"type": "words", "tokens": ["a", "b"]})", 1),
                 "has 2 tokens; the model has the ids below 1"));
}

}  // namespace
}  // namespace heed::convert
