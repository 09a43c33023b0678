#include "formats/alignment.h"

#include <doctest/doctest.h>

#include "heed/error.h"
#include "tests/unit/formats/sample_attention.h"

namespace heed {
namespace {

using testing::sample_attention;

/// Attention of one head with these weights, row by row.
Attention with_weights(std::vector<std::string> source, std::vector<std::string> target, std::vector<float> weights) {
  Attention attention = testing::even_attention(target.size(), source.size());
  attention.source = std::move(source);
  attention.target = std::move(target);
  attention.nodes[0].weights = std::move(weights);
  return attention;
}

/// The numbers of words of tokens: a target that looks at each of them, one after the other.
std::string words_of_tokens(const std::vector<std::string>& tokens) {
  Attention attention = testing::even_attention(tokens.size(), tokens.size());
  attention.source = tokens;
  for (std::size_t i = 0; i < tokens.size(); ++i) attention.target[i] = " " + std::to_string(i);
  for (std::size_t i = 0; i < tokens.size() * tokens.size(); ++i) {
    attention.nodes[0].weights[i] = i / tokens.size() == i % tokens.size() ? 1.0f : 0.0f;
  }
  std::string words;
  const std::string pairs = pharaoh_pairs(attention, {}, AlignmentUnit::Words) + ' ';
  for (std::size_t at = 0; at < pairs.size(); at = pairs.find(' ', at) + 1) {
    words += pairs.substr(at, pairs.find('-', at) - at) + ' ';
  }
  return words;
}

}  // namespace

TEST_CASE("alignment: tokens and words go to what they looked at most") {
  const Attention attention = sample_attention();
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Tokens) == "0-0 1-1 2-2 3-3 4-4");
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Words) == "0-0 1-1 2-2 3-3");
}

TEST_CASE("alignment: source first, in the order of the target") {
  const Attention attention = with_weights({" a", " b", " c"}, {" x", " y"}, {0.1f, 0.2f, 0.7f, 0.6f, 0.3f, 0.1f});
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Tokens) == "2-0 0-1");
}

TEST_CASE("alignment: of equal weights the first counts") {
  CHECK(pharaoh_pairs(testing::even_attention(2, 5), {}, AlignmentUnit::Tokens) == "0-0 0-1");
}

TEST_CASE("alignment: words add up what their source tokens have, and average over their target tokens") {
  // " b" has the largest weight of a token, but the two tokens of "ac" have more together.
  Attention attention = with_weights({" a", "c", " b"}, {" x"}, {0.3f, 0.3f, 0.4f});
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Tokens) == "2-0");
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Words) == "0-0");
  // The second token of the word is surer than the first.
  attention = with_weights({" a", " b"}, {" x", "y"}, {0.6f, 0.4f, 0.1f, 0.9f});
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Words) == "1-0");
}

TEST_CASE("alignment: words begin at spaces, however these are written") {
  CHECK(words_of_tokens({" a", "b", " c"}) == "0 0 1 ");
  CHECK(words_of_tokens({"a", "b", " c"}) == "0 0 1 ");
  CHECK(words_of_tokens({"\u2581a", "b", "\u2581c"}) == "0 0 1 ");
  CHECK(words_of_tokens({"a ", "b", "c ", "d"}) == "0 1 1 2 ");
  CHECK(words_of_tokens({"a", " ", "b"}) == "0 1 1 ");  // characters
  CHECK(words_of_tokens({" ", "a", " ", " ", " b"}) == "0 0 1 1 1 ");
  CHECK(words_of_tokens({" a", " b", " ", "\n"}) == "0 1 1 1 ");
  CHECK(words_of_tokens({" "}) == "0 ");
  CHECK(words_of_tokens({"\xE3", "\x81", "\x82", " \xE3"}) == "0 0 0 1 ");  // a character in bytes
}

TEST_CASE("alignment: special tokens are neither aligned nor words") {
  Attention attention = with_weights({"<5>", " a", "b", "<2>"}, {"<7>", " x", " y", "<2>"},
                                     {0.9f, 0.1f, 0.0f, 0.0f, 0.8f, 0.1f, 0.05f, 0.05f,  //
                                      0.1f, 0.1f, 0.2f, 0.6f, 0.0f, 0.0f, 0.0f, 1.0f});
  attention.source_special = {true, false, false, true};
  attention.target_special = {true, false, false, true};
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Tokens) == "1-1 2-2");
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Words) == "0-0 0-1");
  attention.source_special = {true, true, true, true};
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Words).empty());
  attention.source_special.clear();
  CHECK(pharaoh_pairs(attention, {}, AlignmentUnit::Tokens) == "0-1 3-2");
}

TEST_CASE("alignment: self-attention aligns nothing") {
  Attention attention = sample_attention();
  attention.nodes[1].kind = AttentionKind::Target;
  CHECK_THROWS_WITH_AS(pharaoh_pairs(attention, {{1}, {}}, AlignmentUnit::Words),
                       doctest::Contains("is no cross-attention"), Error);
}

}  // namespace heed
