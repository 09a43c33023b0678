// Special tokens that a text spells: as the tokenizers library finds them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Ids = std::vector<TokenId>;
using Json = nlohmann::json;

/// 0 <unk>, 1 <s>, 2 <s>x, 3 <m> (takes white space before it), 4 <r> (behind it), 5 <w> (as a word), 6 "ab" as a
/// user-defined piece, then letters.
Json vocabulary() {
  return {
      {"version", 4},
      {"steps", {{"normalize", Json::array()}, {"cut", Json::array()}, {"decode", Json::array()}}},
      {"pieces", {"<unk>", "<s>", "<s>x", "<m>", "<r>", "<w>", "ab", "a", "b", "x", " ", "<", ">", "s", "m", "r", "w"}},
      {"unknown", 0},
      {"control", {1, 2, 3, 4, 5}},
      {"user_defined", {6}},
      {"left_space", {3}},
      {"right_space", {4}},
      {"whole_words", {5}},
      {"before", {1}}};
}

Ids parsed(const Json& json, const std::string& text, std::vector<Specials::Range> plain = {}) {
  return Tokenizer::from_json(json.dump())->encode(text, false, {true, std::move(plain), {}});
}

}  // namespace

TEST_CASE("special tokens are found where that is asked for, the longest first") {
  const auto tokenizer = Tokenizer::from_json(vocabulary().dump());
  CHECK(tokenizer->encode("a<s>b") == Ids{1, 7, 11, 13, 12, 8});
  CHECK(tokenizer->encode("a<s>b", true, {true, {}, {}}) == Ids{1, 7, 1, 8});
  CHECK(parsed(vocabulary(), "<s><s>x<unk>") == Ids{1, 2, 0});
  CHECK(parsed(vocabulary(), "<<s>>") == Ids{11, 1, 12});
  CHECK(parsed(vocabulary(), "ab<s>ab") == Ids{6, 1, 6});
  CHECK(parsed(vocabulary(), "") == Ids{});
  std::vector<std::pair<std::size_t, TokenId>> spelled;
  for (const SpelledToken& one : tokenizer->spelled("<s>x ab<m>")) spelled.emplace_back(one.begin, one.token);
  CHECK(spelled == std::vector<std::pair<std::size_t, TokenId>>{{0, 2}, {5, 6}, {7, 3}});
}

TEST_CASE("special tokens take white space with them, and may want to be words") {
  CHECK(parsed(vocabulary(), "a  <m> b") == Ids{7, 3, 10, 8});
  CHECK(parsed(vocabulary(), "a <r> \n\tb") == Ids{7, 10, 4, 8});
  CHECK(parsed(vocabulary(), "<r>  <m>") == Ids{4, 3});
  CHECK(parsed(vocabulary(), " <w> ") == Ids{10, 5, 10});
  CHECK(parsed(vocabulary(), "a<w>") == Ids{7, 11, 16, 12});
  CHECK(parsed(vocabulary(), "<w>a") == Ids{11, 16, 12, 7});
  CHECK(parsed(vocabulary(), "<s><w><s>") == Ids{1, 5, 1});
}

TEST_CASE("a special token over plain bytes stays text") {
  CHECK(parsed(vocabulary(), "<s><s>", {{3, 4}}) == Ids{1, 11, 13, 12});
  CHECK(parsed(vocabulary(), "<s><s>", {{0, 1}}) == Ids{11, 13, 12, 1});
  CHECK(parsed(vocabulary(), "<s><s>", {{5, 6}}) == Ids{1, 11, 13, 12});
  CHECK(parsed(vocabulary(), "<s><s><s>", {{1, 2}, {7, 8}}) == Ids{11, 13, 12, 1, 11, 13, 12});
  // A longer one that does must not hide the one before it.
  CHECK(parsed(vocabulary(), "<s>x", {{3, 4}}) == Ids{1, 9});
  // User-defined pieces are found everywhere, but for marks.
  CHECK(parsed(vocabulary(), "abab", {{0, 2}}) == Ids{6, 6});
  const auto tokenizer = Tokenizer::from_json(vocabulary().dump());
  CHECK(tokenizer->encode("abab", false, {true, {{0, 2}}, {6}}) == Ids{7, 8, 6});
  CHECK(tokenizer->encode("abab", false, {true, {{1, 2}}, {6}}) == Ids{7, 8, 6});
}

TEST_CASE("a prefix stands before the text, or before each stretch") {
  Json json = {{"version", 2},
               {"pieces", {"<unk>", "<s>", "▁", "a"}},
               {"unknown", 0},
               {"control", {1}},
               {"escape_spaces", true}};
  json["prefix"] = "always";
  CHECK(parsed(json, "a<s>a") == Ids{2, 3, 1, 2, 3});
  json["prefix"] = "first";
  CHECK(parsed(json, "a<s>a") == Ids{2, 3, 1, 3});
  CHECK(parsed(json, "<s>a") == Ids{1, 3});
  json["match_normalized"] = true;
  CHECK(parsed(json, "a<s>a") == Ids{2, 3, 1, 3});
}

TEST_CASE("special tokens of words, and descriptions that make no sense") {
  const Json words = {{"type", "words"},    {"tokens", {"<pad>", "<s>", "</s>", "<unk>", "je"}},
                      {"unknown", "<unk>"}, {"begin", "<s>"},
                      {"end", "</s>"},      {"pad", "<pad>"}};
  const auto tokenizer = Tokenizer::from_json(words.dump());
  CHECK(tokenizer->encode("je </s> je", false) == Ids{4, 3, 4});
  CHECK(tokenizer->encode("je </s> je", false, {true, {}, {}}) == Ids{4, 2, 4});
  for (const char* field : {"left_space", "right_space", "whole_words"}) {
    Json json = vocabulary();
    json[field] = {3, 1};
    CHECK_THROWS_WITH_AS(Tokenizer::from_json(json.dump()), doctest::Contains("is not ascending"), Error);
    json[field] = {99};
    CHECK_THROWS_AS(Tokenizer::from_json(json.dump()), Error);
  }
}

}  // namespace heed
