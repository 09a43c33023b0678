// The tokenizers of whole models: stories260K by llama.cpp, tests/golden/hf by transformers and sentencepiece.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/unit/tokenizer/test_data.h"
#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Json = nlohmann::json;
using Description = TokenizerDescription;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

void use_sentencepiece_layout(Description& description) {
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  description.kinds[0] = PieceKind::Unknown;
  description.kinds[1] = description.kinds[2] = PieceKind::Control;
  std::fill_n(description.kinds.begin() + 3, 256, PieceKind::Byte);
  description.fuse_unknown = description.escape_spaces = description.strip_prefix = true;
  description.prefix = Description::Prefix::Always;
  description.before = {1};
  description.end = {2};
}

// llama2.c's tokenizer.bin: u32 longest piece; then per piece f32 score, u32 size, bytes.
Description read_llama2c(const std::string& file) {
  Description description;
  std::size_t at = 4;
  while (at + 8 <= file.size()) {
    float score = 0;
    std::uint32_t size = 0;
    std::memcpy(&score, file.data() + at, 4);
    std::memcpy(&size, file.data() + at + 4, 4);
    std::string piece = file.substr(at + 8, size);
    replace_all(piece, " ", "▁");
    description.pieces.push_back(piece);
    description.scores.push_back(score);
    at += 8 + size;
  }
  description.merging = Description::Merging::Scores;
  use_sentencepiece_layout(description);
  return description;
}

// The pieces of a sentencepiece .model: in its protobuf, field 1 of the file is a piece, whose field 1 is the text and
// field 2 the score. Enough for this one file, which is ours.
Description read_sentencepiece(const std::string& file) {
  const auto varint = [&](std::size_t& at) {
    std::size_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(file.at(at++));
      value |= static_cast<std::size_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  Description description;
  for (std::size_t at = 0; at < file.size() && file[at] == 0x0A;) {
    ++at;
    const std::size_t size = varint(at);
    const std::size_t end = at + size;
    REQUIRE(file.at(at) == 0x0A);
    const std::size_t length = varint(++at);
    description.pieces.push_back(file.substr(at, length));
    at += length;
    REQUIRE(file.at(at) == 0x15);
    float score = 0;
    std::memcpy(&score, file.data() + at + 1, 4);
    description.scores.push_back(score);
    at = end;
  }
  description.merging = Description::Merging::Scores;
  use_sentencepiece_layout(description);
  description.prefix = Description::Prefix::First;
  description.match_normalized = true;
  return description;
}

// Vocabulary, merges and special tokens of a Hugging Face tokenizer.json; the rest is up to the caller.
Description read_hugging_face(const Json& json) {
  Description description;
  const Json& model = json["model"];
  description.pieces.resize(model["vocab"].size());
  const auto put = [&](const std::string& piece, std::size_t id) {
    if (id >= description.pieces.size()) description.pieces.resize(id + 1);
    description.pieces[id] = piece;
  };
  for (const auto& [piece, id] : model["vocab"].items()) put(piece, id);
  for (const Json& token : json["added_tokens"]) put(token["content"], token["id"]);
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  for (const Json& token : json["added_tokens"]) description.kinds[token["id"]] = PieceKind::Control;
  description.merging = Description::Merging::Ranks;
  for (const Json& merge : model["merges"]) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string both = merge;
      left = both.substr(0, both.find(' '));
      right = both.substr(both.find(' ') + 1);
    } else {
      left = merge[0];
      right = merge[1];
    }
    description.merges.emplace_back(model["vocab"][left], model["vocab"][right]);
  }
  return description;
}

// Both the description and its JSON form are exercised.
std::unique_ptr<Tokenizer> build(const Description& description) { return Tokenizer::from_json(description.to_json()); }

// The cases of a golden.json. Where Hugging Face finds a special token in the text, heed encodes its spelling: there
// the ids are compared around no special token, and the decoded text with the text itself.
void check_golden(const std::string& model, const Description& description) {
  const auto golden = test::read_if_there(test::source_path("tests/golden/hf/" + model + "/golden.json"));
  REQUIRE(golden.has_value());
  const auto tokenizer = build(description);
  std::size_t equal = 0;
  const Json cases = Json::parse(*golden)["tokenizer_cases"];
  for (const Json& one : cases) {
    const std::string text = one["text"];
    CAPTURE(text);
    const std::vector<TokenId> expected = one["ids"];
    const auto ids = tokenizer->encode(text);
    const auto is_special = [&](TokenId id) {
      return description.kinds[static_cast<std::size_t>(id)] == PieceKind::Control ||
             description.kinds[static_cast<std::size_t>(id)] == PieceKind::Unknown;
    };
    const auto text_begin = static_cast<std::ptrdiff_t>(description.before.size());
    CHECK(std::none_of(ids.begin() + text_begin, ids.end(), is_special));
    if (std::any_of(expected.begin() + text_begin, expected.end(), is_special)) {
      CHECK(ids != expected);
      CHECK(tokenizer->decode(ids) == text);
      continue;
    }
    ++equal;
    CHECK(ids == expected);
    CHECK(tokenizer->decode(ids) == one["decoded"].get<std::string>());
  }
  CHECK(equal >= cases.size() - 4);
}

bool skipped(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return false;
  MESSAGE("SKIPPED: there is no " << path.string());
  return true;
}

}  // namespace

TEST_CASE("tokenizer: the prompts of stories260K become the ids of llama.cpp") {
  const auto vocabulary = test::shared_path("models/stories260K/tok512.bin");
  const auto golden = test::shared_path("models/stories260K/golden_tokens.json");
  const auto texts = test::shared_path("models/stories260K/golden.json");
  if (skipped(vocabulary) || skipped(golden) || skipped(texts)) return;
  const Description description = read_llama2c(*test::read_if_there(vocabulary));
  REQUIRE(description.pieces.size() == 512);
  const auto tokenizer = build(description);
  CHECK(tokenizer->end_tokens() == std::vector<TokenId>{2});
  const Json tokens = Json::parse(*test::read_if_there(golden));
  const Json continuations = Json::parse(*test::read_if_there(texts));
  REQUIRE(tokens["prompts"].size() == 5);
  for (const auto& item : tokens["prompts"].items()) {
    const std::string prompt = item.key();
    const Json& ids = item.value();
    CAPTURE(prompt);
    CHECK(Json(tokenizer->encode(prompt)) == ids);
    CHECK(tokenizer->decode(ids) == prompt);
  }
  for (const auto& of_file : tokens["continuations"].items()) {
    for (const auto& item : of_file.value().items()) {
      const std::string file = of_file.key();
      const std::string prompt = item.key();
      const Json& ids = item.value();
      CAPTURE(file);
      CAPTURE(prompt);
      std::string text;
      for (const TokenId id : ids) text += tokenizer->piece(id);
      CHECK(text == continuations[file][prompt].get<std::string>());
    }
  }
}

TEST_CASE("tokenizer: Llama 2's form of Hugging Face's tokenizer.json") {
  const auto path = test::source_path("tests/golden/hf/llama/tokenizer.json");
  if (skipped(path)) return;
  Description description = read_hugging_face(Json::parse(*test::read_if_there(path)));
  use_sentencepiece_layout(description);
  check_golden("llama", description);
}

TEST_CASE("tokenizer: Llama 3's form of Hugging Face's tokenizer.json") {
  const auto path = test::source_path("tests/golden/hf/llama_gqa_tied/tokenizer.json");
  if (skipped(path)) return;
  const Json json = Json::parse(*test::read_if_there(path));
  Description description = read_hugging_face(json);
  description.alphabet = Description::Alphabet::Bytes;
  description.whole_pieces_first = json["model"]["ignore_merges"];
  CHECK(description.whole_pieces_first);
  description.splits = {json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]};
  description.before = {350};
  check_golden("llama_gqa_tied", description);
}

TEST_CASE("tokenizer: GPT-2's form of Hugging Face's tokenizer.json") {
  const auto path = test::source_path("tests/golden/hf/gpt2/tokenizer.json");
  if (skipped(path)) return;
  Description description = read_hugging_face(Json::parse(*test::read_if_there(path)));
  description.alphabet = Description::Alphabet::Bytes;
  description.splits = {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"};
  check_golden("gpt2", description);
}

TEST_CASE("tokenizer: a sentencepiece model") {
  const auto path = test::source_path("tests/golden/hf/mistral/tokenizer.model");
  if (skipped(path)) return;
  check_golden("mistral", read_sentencepiece(*test::read_if_there(path)));
}

}  // namespace heed
