// The rules of engine/file/tokenizer_format.md one by one, on vocabularies small enough to check by hand.
#include <doctest/doctest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "heed/error.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Ids = std::vector<TokenId>;
using Json = nlohmann::json;

Json description(std::initializer_list<const char*> pieces) {
  Json json = {{"version", 2}, {"pieces", Json::array()}};
  for (const char* piece : pieces) json["pieces"].push_back(piece);
  return json;
}

std::unique_ptr<Tokenizer> build(const Json& json) { return Tokenizer::from_json(json.dump()); }

Ids encode(const Json& json, const std::string& text) { return build(json)->encode(text); }

Json by_scores(std::initializer_list<const char*> pieces, std::initializer_list<double> scores) {
  Json json = description(pieces);
  json["merging"] = "scores";
  json["scores"] = scores;
  return json;
}

}  // namespace

TEST_CASE("tokenizer: the example of the format's description") {
  const auto tokenizer = Tokenizer::from_json(R"(
    {"version": 2,
     "pieces": ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab"],
     "unknown": 0, "control": [1, 2], "byte": [3],
     "merging": "scores", "scores": [0, 0, 0, 0, -3, -4, -5, -1, -2],
     "escape_spaces": true, "prefix": "always", "strip_prefix": true,
     "before": [1], "end": [2]})");
  CHECK(tokenizer->encode("ab\n") == Ids{1, 7, 6, 3});
  CHECK(tokenizer->encode("ab\n", false) == Ids{7, 6, 3});
  CHECK(tokenizer->decode({1, 7, 6, 3, 2}) == "ab\n");
  CHECK(tokenizer->encode("") == Ids{1});
  CHECK(tokenizer->encode("c") == Ids{1, 4, 0});
  CHECK(tokenizer->piece(7) == " a");
  CHECK(tokenizer->piece(3) == "\n");
  CHECK(tokenizer->piece(1) == "");
  CHECK(tokenizer->piece(0) == "");
  CHECK(tokenizer->end_tokens() == Ids{2});
  CHECK(tokenizer->vocabulary_size() == 9);
  CHECK_THROWS_AS(tokenizer->piece(9), Error);
  CHECK_THROWS_AS(tokenizer->piece(-1), Error);
  CHECK_THROWS_AS(tokenizer->decode({1, 9}), Error);
}

TEST_CASE("tokenizer: a list of characters") {
  const Json json = description({"a", "b", "ab", "é", " "});
  CHECK(encode(json, "abé a") == Ids{0, 1, 3, 4, 0});
  CHECK(build(json)->decode({3, 2, 4}) == "éab ");
  CHECK_THROWS_WITH_AS(
      encode(json, "ax"),
      "cannot encode the text: the vocabulary has no piece for the bytes 78 of 'x' and no unknown piece; leave "
      "that character out",
      Error);
  CHECK_THROWS_WITH_AS(encode(json, "\n"), doctest::Contains("the bytes 0A and no"), Error);
  CHECK_THROWS_WITH_AS(encode(json, "a日"), doctest::Contains("the bytes E6 97 A5 of '日' and no"), Error);
  Json bytes = description({"a", "Ã"});
  bytes["alphabet"] = "bytes";
  CHECK_THROWS_WITH_AS(encode(bytes, "aé"), doctest::Contains("the bytes A9 of 'é' and no"), Error);
}

TEST_CASE("tokenizer: of equal scores the leftmost pair merges first") {
  CHECK(encode(by_scores({"a", "aa"}, {0, -1}), "aaaaa") == Ids{1, 1, 0});
  CHECK(encode(by_scores({"a", "b", "c", "ab", "bc"}, {0, 0, 0, -1, -1}), "abc") == Ids{3, 2});
  CHECK(encode(by_scores({"a", "b", "c", "ab", "bc"}, {0, 0, 0, -2, -1}), "abc") == Ids{0, 4});
  // Equal after rounding to 32 bits, though not before.
  CHECK(encode(by_scores({"a", "b", "c", "ab", "bc"}, {0, 0, 0, -1.0000000001, -1}), "abc") == Ids{3, 2});
}

TEST_CASE("tokenizer: merging by score goes through characters that are no pieces") {
  Json json = by_scores({"<unk>", "xyz", "yz"}, {0, -2, -1});
  json["unknown"] = 0;
  CHECK(encode(json, "xyz") == Ids{1});
  CHECK(encode(json, "xxyzy") == Ids{0, 1, 0});
}

TEST_CASE("tokenizer: unknown characters") {
  Json json = description({"<unk>", "a", "<0xC3>", "<0xA9>", "<0xE2>"});
  json["unknown"] = 0;
  CHECK(encode(json, "axxa") == Ids{1, 0, 0, 1});
  json["fuse_unknown"] = true;
  CHECK(encode(json, "axxax") == Ids{1, 0, 1, 0});
  CHECK(encode(json, "é") == Ids{0});
  json["byte"] = {2, 3, 4};
  CHECK(encode(json, "xéx") == Ids{0, 2, 3, 0});
  // Not every byte of this one has its piece, so none is used.
  CHECK(encode(json, "x€é") == Ids{0, 2, 3});
  CHECK(build(json)->decode({2, 3}) == "é");
  json["pieces"].push_back("<0xc3>");
  json["byte"] = {2, 3, 4, 5};
  CHECK(encode(json, "é") == Ids{2, 3});
  CHECK(build(json)->piece(5) == "\xC3");
  json.erase("unknown");
  CHECK(encode(json, "é") == Ids{2, 3});
  CHECK_THROWS_AS(encode(json, "€"), Error);
}

TEST_CASE("tokenizer: listed merges") {
  Json json = description({"a", "b", "c", "ab", "bc", "abc"});
  json["merging"] = "ranks";
  json["merges"] = {{1, 2}, {0, 1}, {0, 4}};
  CHECK(encode(json, "abc") == Ids{5});
  CHECK(encode(json, "abab") == Ids{3, 3});
  json["merges"] = {{1, 2}, {0, 1}};
  CHECK(encode(json, "abc") == Ids{0, 4});
  json["merges"] = {{1, 2}, {0, 1}, {1, 2}};  // the last counts
  CHECK(encode(json, "abc") == Ids{3, 2});
  // Pieces with the same bytes: the smallest id, also in merges.
  json["pieces"] = {"a", "b", "a", "ab", "ab", "b"};
  json["merges"] = {{2, 5}};
  CHECK(encode(json, "aba") == Ids{3, 0});
  // A merge of control pieces is none of the normal pieces with the same bytes, and one found unused goes last.
  json["control"] = {2};
  CHECK(encode(json, "ab") == Ids{0, 1});
  json["control"] = Json::array();
  json["unused"] = {0, 3};
  CHECK(encode(json, "aba") == Ids{4, 2});
}

TEST_CASE("tokenizer: text that spells a control, byte or unknown piece is text") {
  Json json = description({"<", "s", ">", "<s>", "<s", "0", "x", "4", "1", "<0x41>", "u"});
  json["control"] = {3};
  json["unknown"] = 10;
  json["byte"] = {9};
  json["merging"] = "ranks";
  json["merges"] = {{0, 1}, {4, 2}, {6, 10}};  // the second leads to the control piece, the third holds the unknown one
  CHECK(encode(json, "<s>") == Ids{4, 2});
  CHECK(encode(json, "<0x41>") == Ids{0, 5, 6, 7, 8, 2});
  CHECK(encode(json, "A") == Ids{9});
  CHECK(encode(json, "u") == Ids{10});
  json["whole_pieces_first"] = true;
  CHECK(encode(json, "<s>") == Ids{4, 2});
  json["merging"] = "scores";
  json.erase("merges");
  json["scores"] = std::vector<int>(11, 0);
  CHECK(encode(json, "<s>") == Ids{4, 2});
}

TEST_CASE("tokenizer: user-defined pieces") {
  Json json = description({"<unk>", "a", "b", "<x>", "<x><y>", "▁", "▁b", "ab"});
  json["unknown"] = 0;
  json["user_defined"] = {3, 4};
  json["escape_spaces"] = true;
  CHECK(encode(json, "a<x>b<x><y><x") == Ids{1, 3, 2, 4, 0, 0});
  json["prefix"] = "always";
  CHECK(encode(json, "<x>a<x> b") == Ids{3, 5, 1, 3, 5, 5, 2});
  json["prefix"] = "first";
  CHECK(encode(json, "<x>a") == Ids{3, 1});
  CHECK(encode(json, "a<x>a") == Ids{5, 1, 3, 1});
  json["match_normalized"] = true;
  CHECK(encode(json, "<x>a") == Ids{5, 3, 1});
  // Found in the normalized text, across the prefix.
  json["user_defined"] = {3, 4, 6};
  CHECK(encode(json, "b b") == Ids{6, 6});
  json["match_normalized"] = false;
  CHECK(encode(json, "b b") == Ids{5, 2, 5, 2});
}

TEST_CASE("tokenizer: user-defined pieces with the same bytes, and ones that begin alike") {
  Json json = description({"<unk>", "xyz", "xy", "xy", "x", "xyzzy"});
  json["unknown"] = 0;
  json["user_defined"] = {1, 2, 3, 5};
  CHECK(encode(json, "xyxyzxyzzxyzzyx") == Ids{2, 1, 1, 0, 5, 4});
  CHECK(encode(json, std::string("xy\0\0", 4)) == Ids{2, 0, 0});
}

TEST_CASE("tokenizer: the prefix") {
  Json json = description({"a", " ", "▁", "b"});
  json["prefix"] = "always";
  CHECK(encode(json, "a") == Ids{1, 0});
  CHECK(encode(json, " a") == Ids{1, 1, 0});
  CHECK(encode(json, "") == Ids{});
  json["prefix_unless_space"] = true;
  CHECK(encode(json, " a") == Ids{1, 0});
  CHECK(encode(json, "▁a") == Ids{1, 2, 0});
  json["escape_spaces"] = true;
  CHECK(encode(json, "▁a") == Ids{2, 0});
  CHECK(encode(json, "a") == Ids{2, 0});
  CHECK(build(json)->decode({2, 0}) == " a");
  json["strip_prefix"] = true;
  CHECK(build(json)->decode({2, 0}) == "a");
  CHECK(build(json)->decode({2, 2, 0, 2}) == " a ");
  CHECK(build(json)->decode({}) == "");
}

TEST_CASE("tokenizer: splits cut one after the other and keep everything") {
  Json json = description({"a", "b", "1", "2", "ab", "a1", "12", "ba"});
  json["merging"] = "ranks";
  json["merges"] = {{0, 1}, {0, 2}, {2, 3}, {1, 0}};
  CHECK(encode(json, "aba12") == Ids{4, 5, 3});
  json["splits"] = {"[0-9]+"};
  CHECK(encode(json, "aba12") == Ids{4, 0, 6});
  json["splits"] = {"[0-9]+", "(?=.)|[12]"};
  CHECK(encode(json, "aba12") == Ids{0, 1, 0, 2, 3});  // empty matches cut
  json["splits"] = {"[0-9]+", "[12]"};
  CHECK(encode(json, "aba12") == Ids{4, 0, 2, 3});
  json["splits"] = {"(?<=a)b"};
  CHECK(encode(json, "aba12") == Ids{0, 1, 5, 3});
  json["splits"] = {"\\s+|\\d"};
  json["pieces"][4] = "\u00a0\u3000";
  json["merges"] = {{6, 7}};
  json["pieces"][6] = "\u00a0";
  json["pieces"][7] = "\u3000";
  CHECK(encode(json, "a\u00a0\u3000") == Ids{0, 4});
  json["splits"] = {"\\s"};
  CHECK(encode(json, "a\u00a0\u3000") == Ids{0, 6, 7});  // both are space characters of Unicode
  json["splits"] = {"(?!\u00a0)[\\x{80}-\\x{FFFF}]|"};   // goes on by characters where it matches nothing
  CHECK(encode(json, "\u00a0a") == Ids{6, 0});
}

TEST_CASE("tokenizer: splits at places") {
  Json json = description({"a", "b", "1", "2", "ab"});
  json["merging"] = "ranks";
  json["merges"] = {{0, 1}};
  json["splits"] = {"$"};
  CHECK(encode(json, "aba") == Ids{4, 0});
  json["splits"] = {"a\\Kb"};  // moves the begin of the match
  CHECK(encode(json, "aba") == Ids{0, 1, 0});
}

TEST_CASE("tokenizer: whole pieces go before merging") {
  Json json = description({"a", "b", "c", "ab", "abc"});
  json["merging"] = "ranks";
  json["merges"] = {{0, 1}};
  CHECK(encode(json, "abc") == Ids{3, 2});
  json["whole_pieces_first"] = true;
  CHECK(encode(json, "abc") == Ids{4});
  CHECK(encode(json, "abcc") == Ids{3, 2, 2});
  json["unused"] = {4};
  CHECK(encode(json, "abc") == Ids{3, 2});
}

TEST_CASE("tokenizer: unused pieces are merged through, then taken apart") {
  Json json = by_scores({"<unk>", "a", "b", "c", "ab", "abc", "abca"}, {0, 0, 0, 0, -1, -2, -3});
  json["unknown"] = 0;
  json["unused"] = {4};
  CHECK(encode(json, "ab") == Ids{1, 2});
  CHECK(encode(json, "abc") == Ids{5});
  json["unused"] = {4, 5, 6};
  CHECK(encode(json, "abca") == Ids{1, 2, 3, 1});
  json["unused"] = {1, 4, 5, 6};
  CHECK(encode(json, "abca") == Ids{0, 2, 3, 0});
}

TEST_CASE("tokenizer: the byte alphabet spells every byte") {
  // GPT-2's table, written in the way of its own program.
  std::vector<unsigned> code_points(256);
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
    code_points[byte] = printable ? byte : next++;
  }
  Json json = {{"version", 2}, {"pieces", Json::array()}, {"alphabet", "bytes"}};
  for (const unsigned code : code_points) {
    const auto low = static_cast<char>(0x80 | (code & 0x3F));
    json["pieces"].push_back(code < 0x80 ? std::string(1, static_cast<char>(code))
                                         : std::string{static_cast<char>(0xC0 | (code >> 6)), low});
  }
  json["pieces"].push_back("Ġa€");  // outside the alphabet: plain text, and never produced
  json["pieces"].push_back("é");    // é of the alphabet is byte 0xE9, as piece 0xE9 is
  json["pieces"].push_back("é€");
  json["user_defined"] = {258};
  const auto tokenizer = build(json);
  for (unsigned byte = 0; byte < 256; ++byte) {
    CHECK(tokenizer->piece(static_cast<TokenId>(byte)) == std::string(1, static_cast<char>(byte)));
  }
  for (unsigned byte = 0; byte < 128; ++byte) {
    CHECK(tokenizer->encode(std::string(1, static_cast<char>(byte))) == Ids{static_cast<TokenId>(byte)});
  }
  CHECK(tokenizer->encode("\u00e9 \u20ac") == Ids{0xC3, 0xA9, 0x20, 0xE2, 0x82, 0xAC});
  CHECK(tokenizer->encode("Ġa€") == Ids{0xC4, 0xA0, 'a', 0xE2, 0x82, 0xAC});
  CHECK(tokenizer->encode("aé€") == Ids{'a', 258});
  CHECK(tokenizer->piece(256) == "Ġa€");
  CHECK(tokenizer->piece(257) == "\xE9");
  CHECK(tokenizer->piece(258) == "é€");
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused") {
  const Json json = description({"a"});
  for (const char* text : {"\xFF", "a\x80", "a\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    CHECK_THROWS_WITH_AS(encode(json, text), doctest::Contains("is not valid UTF-8"), Error);
  }
  CHECK_THROWS_WITH_AS(encode(json, "aa\xFF"), doctest::Contains("byte 2 of 3, 0xFF"), Error);
}

TEST_CASE("tokenizer: a pattern that explodes ends with an error") {
  Json json = description({"a", "b"});
  json["splits"] = {"(?:a|aa)+(?![ab])"};
  CHECK_THROWS_WITH_AS(encode(json, std::string(60, 'a') + "b"), doctest::Contains("Oniguruma gives up"), Error);
  // Far from exploding, and still many more steps than the length of the text warrants.
  CHECK_THROWS_WITH_AS(encode(json, std::string(27, 'a') + "b"), doctest::Contains("Oniguruma gives up"), Error);
  CHECK(encode(json, "aa") == Ids{0, 0});
  json["splits"] = {"(?:(a)|b)*c"};  // deep, not wide
  CHECK_NOTHROW(encode(json, std::string(1000, 'a')));
  json["splits"] = {"(?<x>(?:a|b)\\g<x>?)"};  // recursion as deep as the text is long
  bool done = false;
  try {
    done = encode(json, std::string(1'000'000, 'a')).size() == 1'000'000;
  } catch (const Error&) {
    done = true;
  }
  CHECK(done);
}

TEST_CASE("tokenizer: any thread may encode") {
  Json json = by_scores({"a", "b", "ab", " "}, {0, 0, -1, 0});
  json["splits"] = {" ", "ab"};
  const auto tokenizer = build(json);
  const std::string text = "ab a b aab bab abab";
  const Ids expected = tokenizer->encode(text);
  std::array<int, 4> equal{};
  std::vector<std::thread> threads;
  for (int& count : equal) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += tokenizer->encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == std::array<int, 4>{200, 200, 200, 200});
}

}  // namespace heed
