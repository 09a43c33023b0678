// Tokenizers whose description has steps. What the steps do is compared with Hugging Face's library in
// tests/unit/convert/library_tokenizers.cpp; here is what that does not see.
#include <doctest/doctest.h>

#include <string>

#include "heed/error.h"
#include "tests/unit/tokenizer/test_data.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace heed {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

std::unique_ptr<Tokenizer> words() {
  return Tokenizer::from_json(
      R"json({"version": 4, "pieces": ["<unk>", "</s>", "un", "##ab", "##le", "to", ".", "<tag>"],
      "unknown": 0, "control": [1], "user_defined": [7], "merging": "word_pieces", "continuing_prefix": "##",
      "most_characters": 8, "show_unknown": true, "left_space": [7], "right_space": [7], "apart": [7],
      "steps": {"cut": [{"do": "split", "pattern": "\\s|(?=\\.)", "matches": "removed"}],
                "decode": [{"do": "space_between", "find": "##"}, {"do": "contract"}]}})json");
}

TEST_CASE("steps: a long row of marks is sorted in n log n steps") {
  const std::size_t count = 100'000 / HEED_SLOWNESS;
  const std::string marks = repeated("\u0323\u0301\u0327", count);
  const std::string sorted = repeated("\u0327", count) + repeated("\u0323", count) + repeated("\u0301", count);
  CHECK(normalized(marks, NormalForm::Nfd) == sorted);
  CHECK(normalized("x" + marks, NormalForm::Nfkc).size() == marks.size() + 1);
}

TEST_CASE("steps: word pieces, added pieces with their spaces, unknown words") {
  const auto tokenizer = words();
  using Ids = std::vector<TokenId>;
  CHECK(tokenizer->encode("unable to.") == Ids{2, 3, 4, 5, 6});
  CHECK(tokenizer->encode("to  <tag>\n to") == Ids{5, 7, 5});
  CHECK(tokenizer->encode("unto unableto </s>") == Ids{0, 0, 0});
  CHECK(tokenizer->encode("") == Ids{});
  CHECK(tokenizer->encode(" \n ") == Ids{});
  CHECK(tokenizer->encode(repeated("un", 100'000 / HEED_SLOWNESS)) == Ids{0});
}

TEST_CASE("steps: tokens one by one give the text of all, but for what depends on the ends") {
  const auto tokenizer = words();
  const std::vector<TokenId> ids = {2, 3, 4, 5, 1, 0, 6};
  CHECK(tokenizer->decode(ids) == "unable to <unk>.");
  std::string streamed;
  for (const TokenId id : ids) streamed += tokenizer->piece(id);
  CHECK(streamed == " unable to <unk>.");
  CHECK_THROWS_AS(tokenizer->piece(8), Error);
  CHECK_THROWS_AS(tokenizer->decode({-1}), Error);
}

TEST_CASE("steps: a text that grows beyond measure is refused") {
  const std::string long_text(255, 'x');
  const auto tokenizer = Tokenizer::from_json(
      R"({"version": 4, "pieces": ["x"], "merging": "ranks", "merges": [], "steps": {"normalize": [
      {"do": "replace", "find": "a", "text": ")" +
      long_text + R"("}, {"do": "replace", "find": "x", "text": ")" + std::string(255, 'y') +
      R"("}, {"do": "replace", "find": "y", "text": ")" + long_text + R"("}]}})");
  CHECK(tokenizer->encode("xx").size() == 2 * 255 * 255);
  CHECK_THROWS_WITH_AS(tokenizer->encode(std::string(20, 'a')), doctest::Contains("replacing makes more than 256 MiB"),
                       Error);
}

}  // namespace
}  // namespace heed
