#include "tools/convert/hf_tokenizer.h"

#include <doctest/doctest.h>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Json = nlohmann::json;
using Description = TokenizerDescription;

Json byte_level() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": true, "normalized": false}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": [["a", "b"]]}})");
}

Json with_spaces() {
  return Json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<s>": 1, "<0x0A>": 2, "▁": 3, "a": 4, "▁a": 5}, "merges": ["▁ a"]}})");
}

Description read(const Json& json) { return read_tokenizer_json("tokenizer.json", json, 8); }
std::string complaint(const Json& json) {
  return error_of([&] { read(json); });
}
Json changed(Json json, const char* pointer, const Json& value) {
  json[Json::json_pointer(pointer)] = value;
  return json;
}

TEST_CASE("byte-level BPE") {
  const Description d = read(byte_level());
  CHECK(d.alphabet == Description::Alphabet::Bytes);
  CHECK(d.pieces == std::vector<std::string>{"a", "b", "ab", "Ġ", "<|end|>"});
  CHECK(d.kinds[4] == PieceKind::Control);
  CHECK(d.merges == std::vector<std::pair<TokenId, TokenId>>{{0, 1}});
  REQUIRE(d.steps);
  CHECK(d.steps->cut.size() == 1);
  CHECK(d.steps->normalize.empty());
  CHECK(d.steps->decode.empty());
  CHECK(!d.whole_pieces_first);
  CHECK(d.before.empty());
  CHECK(d.apart == std::vector<TokenId>{4});

  Json json = changed(byte_level(), "/model/merges", Json::array({"a b"}));
  CHECK(read(json).merges == d.merges);
  json = changed(byte_level(), "/pre_tokenizer/add_prefix_space", true);
  REQUIRE(read(json).steps->cut.size() == 2);
  CHECK(read(json).steps->cut[0].kind == TextStep::Kind::Prepend);
  CHECK(read(json).steps->cut[0].unless_there);
  json = changed(byte_level(), "/model/ignore_merges", true);
  CHECK(read(json).whole_pieces_first);
  json = changed(byte_level(), "/pre_tokenizer/use_regex", false);
  CHECK(read(json).steps->cut.empty());
  json = byte_level();
  json["model"].erase("type");
  CHECK(read(json).merges == d.merges);
}

TEST_CASE("splits before ByteLevel") {
  const auto with = [](const Json& split) {
    return changed(
        byte_level(), "/pre_tokenizer",
        {{"type", "Sequence"},
         {"pretokenizers", {split, {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}});
  };
  const Json regex = {{"type", "Split"}, {"pattern", {{"Regex", "x+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  const auto step = [&](const Json& split) { return read(with(split)).steps->cut.at(0); };
  CHECK(step(regex).find == "x+");
  CHECK(step(regex).is_regex);
  CHECK(step(regex).matches == TextStep::Matches::Isolated);
  CHECK(step(changed(regex, "/pattern", {{"String", "a.b"}})).find == "a.b");
  CHECK(!step(changed(regex, "/pattern", {{"String", "a.b"}})).is_regex);
  CHECK(step(changed(regex, "/behavior", "MergedWithNext")).matches == TextStep::Matches::WithNext);
  CHECK(step(changed(regex, "/invert", true)).inverted);
  CHECK(step({{"type", "Digits"}, {"individual_digits", true}}).find == R"(\p{N})");
  CHECK(contains(complaint(with(changed(regex, "/behavior", "Swapped"))), "\"Swapped\""));
  CHECK(contains(complaint(with({{"type", "UnicodeScripts"}})), "UnicodeScripts"));
  CHECK(contains(complaint(with({{"type", "ByteLevel"}})), "before another"));
  CHECK(contains(complaint(with(changed(regex, "/pattern", {{"String", ""}}))), "empty string"));
  const auto with_regex = [&](const char* pattern) { return with(changed(regex, "/pattern/Regex", pattern)); };
  CHECK(read(with_regex(R"(\p{Alnum}+|[\p{L}&&[^a]])")).steps->cut.size() == 1);
  CHECK(contains(complaint(with_regex(R"(\p{Alnumm}+)")),
                 R"(refuses the Split "\\p{Alnumm}+": invalid character property name {Alnumm})"));
  CHECK(contains(complaint(with_regex("(a")), "refuses the Split \"(a\": end pattern with unmatched parenthesis"));
}

TEST_CASE("BPE with \"▁\" for spaces, by normalizer and by Metaspace") {
  const Description d = read(with_spaces());
  CHECK(d.alphabet == Description::Alphabet::Characters);
  REQUIRE(d.steps->normalize.size() == 2);
  CHECK(d.steps->normalize[0].kind == TextStep::Kind::Prepend);
  CHECK(d.steps->normalize[1].kind == TextStep::Kind::Replace);
  CHECK(d.steps->cut.empty());
  REQUIRE(d.steps->decode.size() == 4);
  CHECK(d.steps->decode[3].kind == DecodeStep::Kind::Strip);
  CHECK(d.fuse_unknown);
  CHECK(d.unknown() == 0);
  CHECK(d.kinds[1] == PieceKind::Control);
  CHECK(d.kinds[2] == PieceKind::Byte);
  CHECK(d.before == std::vector<TokenId>{1});
  CHECK(read(changed(with_spaces(), "/model/byte_fallback", false)).kinds[2] == PieceKind::Normal);
  for (const bool special : {false, true}) {
    // As BpeTrainer leaves them that is given the bytes as special tokens.
    Json added = with_spaces();
    added["added_tokens"].push_back({{"id", 2}, {"content", "<0x0A>"}, {"special", special}});
    CHECK(read(added).kinds[2] == PieceKind::Byte);
    CHECK(Tokenizer::from_description(read(added))->encode("a\na") == std::vector<TokenId>{1, 5, 2, 4});
    added["added_tokens"].back()["id"] = 6;
    CHECK_MESSAGE(contains(complaint(added), "has the ids 2 and 6"), complaint(added));
  }

  Json json = changed(with_spaces(), "/normalizer", nullptr);
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  REQUIRE(read(json).steps->cut.size() == 2);
  CHECK(read(json).steps->cut[1].first_only);
  CHECK(read(json).steps->cut[1].unless_there);
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"add_prefix_space", false}};
  REQUIRE(read(json).steps->cut.size() == 2);
  CHECK(read(json).steps->cut[1].matches == TextStep::Matches::WithNext);
  json["pre_tokenizer"]["replacement"] = "";
  CHECK(contains(complaint(json), "empty replacement"));
}

TEST_CASE("a Sequence of nothing is nothing, one in another is its steps") {
  const Json nothing = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  CHECK(read(changed(byte_level(), "/normalizer", nothing)).to_json() == read(byte_level()).to_json());
  CHECK(read(changed(byte_level(), "/normalizer",
                     {{"type", "Sequence"}, {"normalizers", Json::array({nothing, nothing})}}))
            .to_json() == read(byte_level()).to_json());
  for (const char* part : {"pre_tokenizer", "decoder"}) {
    const std::string steps = part == std::string("decoder") ? "decoders" : "pretokenizers";
    Json json = byte_level();
    json[part] = {{"type", "Sequence"}, {steps, Json::array({json[part]})}};
    json[part] = {{"type", "Sequence"}, {steps, Json::array({json[part]})}};
    CHECK(read(json).to_json() == read(byte_level()).to_json());
  }
  CHECK(
      read(changed(byte_level(), "/post_processor", {{"type", "Sequence"}, {"processors", Json::array()}})).to_json() ==
      read(byte_level()).to_json());

  const Json spaces = with_spaces();
  Json nested =
      changed(spaces, "/normalizer/normalizers",
              Json::array({nothing, {{"type", "Sequence"}, {"normalizers", spaces["normalizer"]["normalizers"]}}}));
  nested["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array()}};
  CHECK(read(nested).to_json() == read(spaces).to_json());
  // Normalizers that do nothing leave the text in which added tokens are looked for as it is.
  Json metaspace = changed(spaces, "/normalizer", nothing);
  metaspace["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}};
  metaspace["added_tokens"][1]["special"] = false;
  CHECK(read(metaspace).kinds[1] == PieceKind::UserDefined);
  CHECK(read(metaspace).steps->normalize.empty());
}

TEST_CASE("tokens that tokenizer_config.json alone adds") {
  TempFolder folder;
  Json config = tiny_llama_config();
  config["eos_token_id"] = 4;
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", safetensors(tiny_llama_tensors()));
  Json with_bos = byte_level();
  with_bos["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<|end|>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"<|end|>", {{"id", "<|end|>"}, {"ids", {4}}, {"tokens", {"<|end|>"}}}}}}};
  const auto read_with = [&](const Json& tokenizer, const Json& tokenizer_config) {
    folder.write("tokenizer.json", tokenizer.dump());
    folder.write("tokenizer_config.json", tokenizer_config.dump());
    return read_checkpoint(folder.path(), {});
  };
  const auto ids = [](const Checkpoint& checkpoint) {
    return Tokenizer::from_json(checkpoint.tokenizer)->encode("ab");
  };
  using Ids = std::vector<TokenId>;
  const Json bos = {{"add_bos_token", true}, {"bos_token", "<|end|>"}};
  const Checkpoint added = read_with(byte_level(), bos);
  CHECK(ids(added) == Ids{4, 2});
  REQUIRE(!added.notes.empty());
  CHECK(contains(added.notes.back(), "\"<|end|>\" is put before a text, as 'add_bos_token' of tokenizer_config.json"));
  CHECK(ids(read_with(byte_level(), {{"add_bos_token", true}, {"bos_token", {{"content", "<|end|>"}}}})) == Ids{4, 2});
  CHECK(ids(read_with(byte_level(), {{"add_eos_token", true}, {"eos_token", "<|end|>"}})) == Ids{2, 4});
  // Said twice, it is added once.
  const Checkpoint both = read_with(with_bos, bos);
  CHECK(ids(both) == Ids{4, 2});
  CHECK(both.notes.empty());
  CHECK(ids(read_with(with_bos, {{"add_bos_token", true}})) == Ids{4, 2});
  const Checkpoint kept = read_with(with_bos, {{"add_bos_token", false}, {"bos_token", "<|end|>"}});
  CHECK(ids(kept) == Ids{4, 2});
  CHECK(contains(kept.notes.back(), "as tokenizer.json says; 'add_bos_token' of tokenizer_config.json is false"));
  CHECK(read_with(byte_level(), {{"add_bos_token", false}, {"bos_token", "<|end|>"}}).notes.empty());

  const auto complain = [&](const Json& tokenizer_config) {
    return error_of([&] { read_with(byte_level(), tokenizer_config); });
  };
  CHECK(complain({{"add_bos_token", true}}) ==
        "tokenizer_config.json: 'add_bos_token' is true, but there is no 'bos_token'");
  CHECK(contains(complain({{"add_eos_token", true}, {"eos_token", "</s>"}}), "has no token \"</s>\", the 'eos_token'"));
  CHECK(contains(complain({{"add_bos_token", 1}}), "'add_bos_token' is 1; expected true or false"));
  CHECK(contains(complain({{"added_tokens_decoder", {{"5", {{"content", "<pad>"}}}}}}),
                 "\"<pad>\" is not in tokenizer.json"));
}

TEST_CASE("a tokenizer that cannot be built is refused when it is converted") {
  TempFolder folder;
  folder.write("config.json", tiny_llama_config().dump());
  folder.write("model.safetensors", safetensors(tiny_llama_tensors()));
  folder.write("tokenizer.json", changed(byte_level(), "/model/merges", Json::array({"b a"})).dump());
  const std::string said = error_of([&] { read_checkpoint(folder.path(), {}); });
  CHECK_MESSAGE(
      said.ends_with("its tokenizer cannot be used: tokenizer.json: merge 0 of pieces 1 and 0 leads to no piece "
                     "of the vocabulary"),
      said);
}

TEST_CASE("what tokenizer.json says that heed cannot do is refused by name") {
  const std::pair<Json, const char*> cases[] = {
      {changed(byte_level(), "/model/type", "Unigram"), "the property \"merges\""},
      {changed(byte_level(), "/model/type", "WordPiece"), "the property \"merges\""},
      {changed(byte_level(), "/model/type", "Words"), "\"Words\""},
      {changed(byte_level(), "/model/dropout", 0.1), "dropout is 0.1"},
      {changed(byte_level(), "/model/continuing_subword_prefix", "##"), "continuing_subword_prefix is \"##\""},
      {changed(with_spaces(), "/model/end_of_word_suffix", "</w>"), "both byte_fallback and an end_of_word_suffix"},
      {changed(byte_level(), "/model/new_option", 1), "\"new_option\""},
      {changed(byte_level(), "/new_part", 1), "\"new_part\""},
      {changed(byte_level(), "/model/vocab", Json::object()), "no vocabulary"},
      {changed(byte_level(), "/model/vocab/x", 0), "id 0 belongs to both"},
      {changed(byte_level(), "/model/vocab/x", 8), "ids below 8"},
      {changed(byte_level(), "/model/vocab/x", -1), "ids below 8"},
      {changed(byte_level(), "/model/vocab/x", "7"), "ids below 8"},
      {changed(byte_level(), "/model/merges", {"a c"}), "\"a c\" has a side"},
      {changed(byte_level(), "/model/merges", {"ab"}), "not two tokens"},
      {changed(byte_level(), "/model/merges", {"a b c"}), "not two tokens"},
      {changed(byte_level(), "/model/merges", {1}), "not two tokens"},
      {changed(with_spaces(), "/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}), "not base64"},
      {changed(byte_level(), "/post_processor", {{"type", "RobertaProcessing"}}), "'cls' is null"},
      {changed(byte_level(), "/normalizer", {{"type", "ByteLevel"}}), "ByteLevel"},
      {changed(byte_level(), "/decoder", {{"type", "WordPiece"}}), "WordPiece"},
      {changed(byte_level(), "/post_processor", {{"type", "PairProcessing"}}), "PairProcessing"},
      {changed(byte_level(), "/added_tokens/0/id", 0), "id 0 belongs to both"},
      {changed(byte_level(), "/added_tokens/0/id", 8), "ids below 8"},
      {changed(byte_level(), "/added_tokens/0/new_flag", true), "\"new_flag\""},
      {changed(changed(byte_level(), "/added_tokens/0/content", "Ġ"), "/added_tokens/0/id", 3), "other bytes"},
      {changed(with_spaces(), "/normalizer", {{"type", "NFKX"}}), "NFKX"},
      {changed(with_spaces(), "/pre_tokenizer", {{"type", "FixedLength"}, {"length", 3}}), "FixedLength"},
      {changed(with_spaces(), "/decoder/decoders/0/pattern", {{"Regex", "x"}}), "regular expression"},
      {changed(with_spaces(), "/decoder", {{"type", "CTC"}}), "CTC"},
      {changed(with_spaces(), "/model/unk_token", "x"), "\"x\" is not in the vocabulary"},
      {changed(with_spaces(), "/added_tokens/0/special", false), "not special"},
      {changed(with_spaces(), "/post_processor/single/1/Sequence/id", "B"), "template"},
      {changed(with_spaces(), "/post_processor/single", Json::array()), "no place for the text"},
      {changed(with_spaces(), "/post_processor/special_tokens/<s>/ids/0", 7), "adds id 7"},
      {Json::array(), "not a JSON object"},
      {Json{{"model", 1}}, "object"},
  };
  for (const auto& [json, message] : cases) {
    const std::string said = complaint(json);
    CHECK_MESSAGE(contains(said, message), said);
    CHECK(!contains(said, "\n"));
  }
}

/// A protobuf field of a message or string, and one of an integer.
std::string field(unsigned number, const std::string& bytes) {
  std::string out;
  for (std::size_t value : {std::size_t{number << 3 | 2}, bytes.size()}) {
    for (; value >= 128; value >>= 7) out += static_cast<char>(value | 128);
    out += static_cast<char>(value);
  }
  return out + bytes;
}
std::string number(unsigned field_number, unsigned value) {
  std::string out;
  for (unsigned v : {field_number << 3, value}) {
    for (; v >= 128; v >>= 7) out += static_cast<char>(v | 128);
    out += static_cast<char>(v);
  }
  return out;
}
std::string piece(const std::string& text, unsigned type) { return field(1, field(1, text) + number(3, type)); }

TEST_CASE("tokenizer.model: options that heed cannot do are refused by name") {
  const std::string pieces = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("a", 1) + piece("x", 4);
  const std::string bpe = number(3, 2);
  const std::string plain = field(3, number(4, 0));
  const auto complain = [&](const std::string& model, const Json& config = {}) {
    return error_of([&] { read_sentencepiece("tokenizer.model", model, config, 8); });
  };
  const std::string good = pieces + field(2, bpe) + plain;
  CHECK(complain(good).empty());
  const Description d = read_sentencepiece("tokenizer.model", good, {}, 8);
  CHECK(d.kinds == std::vector<PieceKind>{PieceKind::Unknown, PieceKind::Control, PieceKind::Control, PieceKind::Normal,
                                          PieceKind::UserDefined});
  CHECK(d.match_normalized);
  CHECK(d.prefix == Description::Prefix::First);
  CHECK(d.before == std::vector<TokenId>{1});
  CHECK(read_sentencepiece("tokenizer.model", good, {{"add_bos_token", false}, {"add_eos_token", true}}, 8).after ==
        std::vector<TokenId>{2});

  CHECK(read_sentencepiece("tokenizer.model", pieces + plain, {}, 8).merging == Description::Merging::Unigram);
  CHECK(contains(complain(pieces + field(2, number(3, 3)) + plain), "type word"));
  const Description rules =
      read_sentencepiece("tokenizer.model", pieces + field(2, bpe) + field(3, field(2, "x")), {}, 8);
  CHECK(rules.trim_spaces);
  CHECK(
      contains(error_of([&] { Tokenizer::from_description(rules); }), "rules of normalization (charsmap) are damaged"));
  CHECK(contains(complain(pieces + field(2, bpe) + field(3, number(4, 0) + number(5, 0))), "escape_whitespaces"));
  CHECK(contains(complain(pieces + field(2, bpe + number(24, 1)) + plain), "treat_whitespace_as_suffix"));
  CHECK(contains(complain(good + field(5, field(2, "x"))), "denormalization"));
  CHECK(contains(complain(good + piece("<0x0A>", 6)), "no byte_fallback"));
  CHECK(contains(complain(good + piece("b", 7)), "type 7"));
  CHECK(contains(complain(good + piece("b", 1) + piece("c", 1) + piece("d", 1) + piece("e", 1)), "more pieces"));
  CHECK(contains(complain(pieces + field(2, bpe + number(41, 9)) + plain), "no token for add_bos_token"));
  CHECK(contains(complain("what?"), "not a SentencePiece model"));
  CHECK(contains(complain(good, {{"add_bos_token", 1}}), "'add_bos_token' is 1"));
  CHECK(contains(complain(good, {{"added_tokens_decoder", {{"5", {{"content", "<pad>"}}}}}}), "\"<pad>\""));
  CHECK(complain(good, {{"added_tokens_decoder", {{"1", {{"content", "<s>"}}}}}}).empty());
  for (std::size_t size = 0; size < good.size(); ++size) complain(good.substr(0, size));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    complain(bytes);
  }
}

TEST_CASE("a folder whose tokenizer is smaller than vocab_size converts, one whose tokenizer is larger does not") {
  TempFolder folder;
  Json config = tiny_llama_config();
  config["eos_token_id"] = 4;
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", safetensors(tiny_llama_tensors()));
  folder.write("tokenizer.json", byte_level().dump());
  Checkpoint checkpoint = read_checkpoint(folder.path(), {});
  const ModelHeader header = make_header(checkpoint, {});
  CHECK(header.metadata["vocabulary"] == 6);
  CHECK(!header.metadata.contains("end_tokens"));
  const auto tokenizer = Tokenizer::from_json(checkpoint.tokenizer);
  CHECK(tokenizer->vocabulary_size() == 6);
  CHECK(tokenizer->end_tokens() == std::vector<TokenId>{4});
  CHECK(tokenizer->encode("ab") == std::vector<TokenId>{2});
  CHECK(tokenizer->piece(5).empty());  // what the model may still say

  const auto complain = [&](const Json& json) {
    folder.write("tokenizer.json", json.dump());
    return error_of([&] { read_checkpoint(folder.path(), {}); });
  };
  CHECK(complain(changed(byte_level(), "/model/vocab/x", 5)).empty());  // just as large
  const std::string piece = complain(changed(byte_level(), "/model/vocab/x", 6));
  CHECK_MESSAGE(contains(piece, "tokenizer.json: the id of \"x\" is 6; the model has the ids below 6"), piece);
  const std::string added = complain(changed(byte_level(), "/added_tokens/0/id", 6));
  CHECK_MESSAGE(contains(added, "\"<|end|>\" is 6; the model has the ids below 6"), added);
}

TEST_CASE("golden folders: ids and texts are those of the tokenizers library") {
  // Texts in which the library finds control tokens are left out: heed takes them for text (tokenizer_format.md).
  const auto names_control_token = [](const Description& d, const std::string& text) {
    for (std::size_t id = 0; id < d.pieces.size(); ++id) {
      const bool found = d.kinds[id] == PieceKind::Control || d.kinds[id] == PieceKind::Unknown;
      if (found && contains(text, d.pieces[id])) return true;
    }
    return false;
  };
  for (const char* name : {"llama", "llama_gqa_tied", "mistral", "gpt2"}) {
    CAPTURE(name);
    const Checkpoint checkpoint = read_checkpoint(golden_folder() / name, {});
    const Description d = Description::from_json(checkpoint.tokenizer);
    const auto tokenizer = Tokenizer::from_json(checkpoint.tokenizer);
    CHECK(tokenizer->vocabulary_size() == checkpoint.parameters["vocabulary"].get<std::size_t>());
    CHECK(tokenizer->end_tokens() == checkpoint.end_tokens);
    CHECK(!checkpoint.end_tokens.empty());
    const Json golden = Json::parse(read_whole(golden_folder() / name / "golden.json"));
    int compared = 0;
    for (const Json& example : golden.at("tokenizer_cases")) {
      const auto text = example.at("text").get<std::string>();
      if (std::string(name) != "mistral" && names_control_token(d, text)) continue;
      CAPTURE(text);
      CHECK(tokenizer->encode(text) == example.at("ids").get<std::vector<TokenId>>());
      ++compared;
    }
    CHECK(compared >= 30);
  }
}

}  // namespace
}  // namespace heed::convert
