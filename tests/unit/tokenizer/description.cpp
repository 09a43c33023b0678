#include "tokenizer/description.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "heed/error.h"

namespace heed {
namespace {

using Json = nlohmann::json;
using Description = TokenizerDescription;

// The message with which a description is refused, by the reader or by building the tokenizer; empty when it is not.
std::string refusal(const std::string& json) {
  try {
    Tokenizer::from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Json valid() {
  return Json::parse(R"({"version": 2, "pieces": ["<unk>", "<s>", "<0x0A>", "a", "b", "ab", "", "xx"], "unknown": 0,
                         "control": [1], "byte": [2], "unused": [6], "user_defined": [7], "merging": "ranks",
                         "merges": [[3, 4]], "before": [1], "end": [1]})");
}

}  // namespace

TEST_CASE("tokenizer description: what is written is read back") {
  Description description;
  description.pieces = {"<unk>", "<s>", "<0x0a>", "▁", "a", "▁a", "sep", "", "\xF4\x8F\xBF\xBF"};
  description.kinds = {PieceKind::Unknown,     PieceKind::Control, PieceKind::Byte,
                       PieceKind::Normal,      PieceKind::Normal,  PieceKind::Normal,
                       PieceKind::UserDefined, PieceKind::Unused,  PieceKind::Normal};
  description.alphabet = Description::Alphabet::Bytes;
  description.merging = Description::Merging::Scores;
  description.scores = {0, -0.0f, 1e30f, -1.5f, 0.1f, std::numeric_limits<float>::denorm_min(), -1e10f, 7, 16777216};
  description.whole_pieces_first = description.fuse_unknown = description.escape_spaces = true;
  description.prefix = Description::Prefix::First;
  description.prefix_unless_space = description.strip_prefix = description.match_normalized = true;
  description.splits = {R"(\p{L}+|\s+(?!\S))", "\""};
  description.before = {1, 1};
  description.after = {2};
  description.end = {1, 2};
  const auto expect_equal = [](const Description& a, const Description& b) {
    CHECK(a.pieces == b.pieces);
    CHECK(a.kinds == b.kinds);
    CHECK(a.alphabet == b.alphabet);
    CHECK(a.merging == b.merging);
    CHECK(a.scores == b.scores);
    CHECK(a.merges == b.merges);
    CHECK(a.whole_pieces_first == b.whole_pieces_first);
    CHECK(a.fuse_unknown == b.fuse_unknown);
    CHECK(a.escape_spaces == b.escape_spaces);
    CHECK(a.prefix == b.prefix);
    CHECK(a.prefix_unless_space == b.prefix_unless_space);
    CHECK(a.strip_prefix == b.strip_prefix);
    CHECK(a.match_normalized == b.match_normalized);
    CHECK(a.splits == b.splits);
    CHECK(a.before == b.before);
    CHECK(a.after == b.after);
    CHECK(a.end == b.end);
  };
  expect_equal(Description::from_json(description.to_json()), description);

  description.merging = Description::Merging::Ranks;
  description.scores.clear();
  description.merges = {{3, 4}, {4, 4}};
  description.prefix = Description::Prefix::Always;
  description.fuse_unknown = description.match_normalized = false;
  expect_equal(Description::from_json(description.to_json()), description);
}

TEST_CASE("tokenizer description: absent fields have the documented defaults") {
  const Description description = Description::from_json(R"({"version": 2, "pieces": ["a"]})");
  CHECK(description.kinds == std::vector<PieceKind>{PieceKind::Normal});
  CHECK(description.alphabet == Description::Alphabet::Characters);
  CHECK(description.merging == Description::Merging::None);
  CHECK(description.prefix == Description::Prefix::Never);
  CHECK_FALSE(description.unknown().has_value());
  CHECK_FALSE(description.whole_pieces_first);
  CHECK_FALSE(description.fuse_unknown);
  CHECK_FALSE(description.escape_spaces);
  CHECK_FALSE(description.prefix_unless_space);
  CHECK_FALSE(description.strip_prefix);
  CHECK_FALSE(description.match_normalized);
  CHECK(description.splits.empty());
  CHECK(description.before.empty());
  CHECK(description.after.empty());
  CHECK(description.end.empty());
}

TEST_CASE("tokenizer description: padding") {
  Description description = Description::from_json(valid().dump());
  description.pad(4);
  CHECK(description.pieces.size() == 8);
  description.pad(11);
  CHECK(description.pieces.size() == 11);
  CHECK(description.kinds[7] == PieceKind::UserDefined);
  CHECK(description.kinds[8] == PieceKind::Unused);
  const auto tokenizer = Tokenizer::from_json(description.to_json());
  CHECK(tokenizer->vocabulary_size() == 11);
  CHECK(tokenizer->piece(10).empty());
  CHECK(tokenizer->encode("ab") == std::vector<TokenId>{1, 5});
  CHECK_THROWS_AS(description.pad(std::numeric_limits<std::size_t>::max()), Error);

  description = Description::from_json(R"({"version": 2, "pieces": ["a"], "merging": "scores", "scores": [1]})");
  description.pad(3);
  CHECK_NOTHROW(description.validate());
}

// Every step with every member that it has.
Json with_steps() {
  return Json::parse(R"({"version": 4, "pieces": ["<unk>", "<s>", "a", "##b", "<m>"], "unknown": 0, "control": [1],
    "user_defined": [4], "merging": "word_pieces", "continuing_prefix": "##", "most_characters": 7,
    "show_unknown": true, "normalized": [1, 4], "left_space": [4], "right_space": [1], "whole_words": [4],
    "apart": [4], "steps": {
      "normalize": [{"do": "nfkd"}, {"do": "lower_case"}, {"do": "space_ideographs"},
        {"do": "strip", "left": true, "right": true}, {"do": "replace", "pattern": "x+", "text": ""},
        {"do": "replace", "find": "y", "text": "z"}, {"do": "prepend", "text": "a", "unless_there": true, "first_only": true}],
      "cut": [{"do": "split", "pattern": "\\s", "matches": "with_next", "inverted": true},
        {"do": "split", "find": " ", "matches": "removed"}],
      "decode": [{"do": "replace", "find": "a", "text": "b"}, {"do": "bytes"}, {"do": "join"},
        {"do": "strip", "text": " ", "left": 1, "right": 2}, {"do": "drop_first", "find": "a"},
        {"do": "space_between", "find": "##"}, {"do": "contract"}, {"do": "word_ends", "find": "c"}]}})");
}

TEST_CASE("tokenizer description: steps are read and written back") {
  const Json json = with_steps();
  const Description description = Description::from_json(json.dump());
  REQUIRE(description.steps);
  CHECK(description.steps->normalize.size() == 7);
  CHECK(description.steps->cut[0].inverted);
  CHECK(description.steps->cut[1].matches == TextStep::Matches::Removed);
  CHECK(description.steps->decode[3].right == 2);
  CHECK(description.whole_words == std::vector<TokenId>{4});
  const Json written = Json::parse(description.to_json());
  for (const auto& item : json.items()) CHECK_MESSAGE(written[item.key()] == item.value(), item.key());

  const auto refused = [](const char* pointer, const char* value) {
    Json changed = with_steps();
    changed[Json::json_pointer(pointer)] = Json::parse(value);
    return refusal(changed.dump());
  };
  CHECK(contains(refused("/steps/normalize/0/do", "\"nfx\""), "is none of nfc, nfd"));
  CHECK(contains(refused("/steps/normalize/0/text", "\"a\""), "not known or not for it"));
  CHECK(contains(refused("/steps/normalize/3/left", "1"), "expected true or false"));
  CHECK(contains(refused("/steps/normalize/4/pattern", "\"\""), "looks for nothing"));
  CHECK(contains(refused("/steps/normalize/0", R"({"do": "charsmap"})"), "there is none"));
  CHECK(contains(refused("/steps/normalize/0", R"({"do": "split", "find": "a", "matches": "removed"})"), "splits"));
  CHECK(contains(refused("/steps/cut/0/matches", "\"some\""), "is none of isolated"));
  CHECK(contains(refused("/steps/decode/3/left", "-1"), "expected a number"));
  CHECK(contains(refused("/steps/decode/0/find", "\"\""), "looks for nothing"));
  CHECK(contains(refused("/steps/more", "[]"), "not known"));
  CHECK(contains(refused("/steps", "[]"), "expected an object"));
  CHECK(contains(refused("/escape_spaces", "true"), "beside fields that say the same"));
  CHECK(contains(refused("/normalized", "[2]"), "not looked for"));
  CHECK(contains(refused("/normalized", "[4, 1]"), "not ascending"));
  CHECK(contains(refused("/normalized", "[9]"), "there are 5 pieces"));
  CHECK(contains(refused("/most_characters", "-1"), "32 bits"));
  CHECK(contains(refused("/word_suffix", "\"x\""), "merging by ranks"));
  Json longest = with_steps();
  longest["charsmap"] = "BAAAAAAAAAAA";  // a trie of one unit
  longest["steps"]["normalize"].push_back({{"do", "charsmap"}, {"longest", true}});
  longest["version"] = 5;
  const Json written_longest = Json::parse(Description::from_json(longest.dump()).to_json());
  for (const char* key : {"version", "steps"}) CHECK(written_longest[key] == longest[key]);
  Json without = with_steps();
  without.erase("steps");
  CHECK(contains(refusal(without.dump()), "no 'steps'"));
}

TEST_CASE("tokenizer description: what is not one is refused, naming the place") {
  REQUIRE(refusal(valid().dump()) == "");
  const auto with = [](const char* field, const char* value) {
    Json json = valid();
    json[field] = Json::parse(value);
    return refusal(json.dump());
  };
  const auto without = [](const char* field) {
    Json json = valid();
    json.erase(field);
    return refusal(json.dump());
  };
  CHECK(contains(refusal(""), "not valid JSON"));
  CHECK(contains(refusal("{\"version\": 2"), "not valid JSON at byte"));
  CHECK(contains(refusal(std::string(100'000, '[')), "not valid JSON"));
  CHECK(contains(refusal("[]"), "expected an object"));
  CHECK(contains(refusal(R"({"version": 2, "pieces": ["a"], "merging": "scores", "scores": [1e999]})"), "not usable"));
  CHECK(contains(refusal("{\"version\": 2, \"pieces\": [\"\xFF\"]}"), "not valid JSON"));
  CHECK(contains(with("colour", "1"), "\"colour\""));
  CHECK(contains(without("version"), "version"));
  CHECK(contains(with("version", "6"), "version"));
  // What was written before differs in the patterns alone.
  Json older = valid();
  older["version"] = 1;
  CHECK(refusal(older.dump()).empty());
  older["splits"] = {"a"};
  CHECK(contains(refusal(older.dump()), "version 1 holds 'splits'"));
  CHECK(contains(without("pieces"), "'pieces'"));
  CHECK(contains(with("pieces", "[]"), "'unknown'"));
  CHECK(contains(refusal(R"({"version": 2, "pieces": []})"), "0 pieces"));
  CHECK(contains(with("pieces", "7"), "'pieces' is number"));
  CHECK(contains(with("pieces", "[1]"), "'pieces' holds number"));
  CHECK(contains(with("unknown", "8"), "8 pieces"));
  CHECK(contains(with("unknown", "-1"), "-1"));
  CHECK(contains(with("unknown", "18446744073709551615"), "18446744073709551615"));
  CHECK(contains(with("unknown", "4294967296"), "4294967296"));
  CHECK(contains(with("unknown", "0.5"), "expected an id"));
  CHECK(contains(with("unknown", "1"), "in another list"));
  CHECK(contains(with("control", "[1, 1]"), "not ascending"));
  CHECK(contains(with("control", "[3, 1]"), "not ascending"));
  CHECK(contains(with("control", "[2]"), "in another list"));
  CHECK(contains(with("control", "{}"), "expected an array"));
  CHECK(contains(with("byte", "[3]"), "<0x0A>"));
  CHECK(contains(with("alphabet", "\"letters\""), "'alphabet'"));
  CHECK(contains(with("merging", "1"), "'merging'"));
  CHECK(contains(with("merging", "\"none\""), "'merges' and 'merging' disagree"));
  CHECK(contains(with("merging", "\"scores\""), "'scores' and 'merging' disagree"));
  CHECK(contains(with("scores", "[]"), "'scores' and 'merging' disagree"));
  CHECK(contains(without("merges"), "'merges' and 'merging' disagree"));
  CHECK(contains(with("merges", "[[3]]"), "not a pair"));
  CHECK(contains(with("merges", "[[3, 8]]"), "8 pieces"));
  CHECK(contains(with("merges", "[[4, 3]]"), "merge 0 of pieces 4 and 3 leads to no piece"));
  CHECK(contains(with("whole_pieces_first", "1"), "true or false"));
  CHECK(contains(with("prefix", "\"Always\""), "'prefix'"));
  CHECK(contains(with("splits", "[\"(\"]"), "Oniguruma refuses a split: end pattern with unmatched parenthesis"));
  CHECK(contains(with("splits", "[\"\"]"), "a split is empty"));
  CHECK(contains(with("before", "[9]"), "'before'"));
  CHECK(contains(with("after", "[-9]"), "'after'"));
  CHECK(contains(with("end", "[\"</s>\"]"), "'end'"));

  Json json = valid();
  json["before"] = std::vector<int>(17, 1);
  CHECK(contains(refusal(json.dump()), "at most 16"));
  json = valid();
  json["splits"] = std::vector<std::string>(17, "a");
  CHECK(contains(refusal(json.dump()), "at most 16"));
  json["splits"] = {std::string(16385, 'a')};
  CHECK(contains(refusal(json.dump()), "longer than"));
  json = valid();
  json["pieces"][3] = std::string(4097, 'a');
  CHECK(contains(refusal(json.dump()), "4097 bytes"));
  json = Json::parse(R"({"version": 2, "pieces": ["a", "b"], "merging": "scores", "scores": [1]})");
  CHECK(contains(refusal(json.dump()), "1 scores, expected 2"));
  json["scores"] = {1, 1e39};
  CHECK(contains(refusal(json.dump()), "out of range"));
}

TEST_CASE("tokenizer description: the struct is checked before it is written") {
  Description description;
  CHECK_THROWS_AS(description.to_json(), Error);
  description.pieces = {"a"};
  CHECK_THROWS_AS(description.to_json(), Error);  // no kinds
  description.kinds = {PieceKind::Normal};
  CHECK_NOTHROW(description.to_json());
  description.pieces = {"\xFF"};
  CHECK_THROWS_AS(description.to_json(), Error);
  description.pieces = {"a", "b"};
  description.kinds = {PieceKind::Unknown, PieceKind::Unknown};
  CHECK_THROWS_AS(description.to_json(), Error);
  description.kinds = {PieceKind::Normal, PieceKind::Normal};
  description.merging = Description::Merging::Scores;
  description.scores = {1, std::numeric_limits<float>::infinity()};
  CHECK_THROWS_AS(description.to_json(), Error);
  description.scores = {1, 1};
  CHECK_NOTHROW(description.to_json());
  description.pieces[1] = "";
  description.kinds[1] = PieceKind::UserDefined;
  CHECK_THROWS_AS(description.to_json(), Error);
}

}  // namespace heed
