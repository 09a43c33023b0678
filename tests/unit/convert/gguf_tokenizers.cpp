// Vocabularies of unigrams and word pieces as llama.cpp's converter writes them, against what llama-tokenize,
// tokenizers and sentencepiece make of texts: tests/golden/gguf/tokenizers, made by
// tests/golden/make_gguf_tokenizers.py.
#include <doctest/doctest.h>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/description.h"
#include "tools/convert/gguf.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Json = nlohmann::json;
using Ids = std::vector<TokenId>;

std::filesystem::path vocabularies_folder() { return golden_folder().parent_path() / "gguf" / "tokenizers"; }

std::unique_ptr<Tokenizer> opened_vocabulary(const std::string& name) {
  const auto file = SourceFile::open(vocabularies_folder() / (name + ".gguf"));
  Checkpoint checkpoint;
  read_gguf_tokenizer(Gguf::read(*file), 1 << 16, checkpoint);
  CHECK(checkpoint.notes.empty());
  return Tokenizer::from_json(checkpoint.tokenizer);
}

/// Where llama.cpp and the library differ, heed is with the library in these: what the model learned from.
bool goes_with_library(const std::string& name, const std::string& text) {
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  if (name == "unigram_bytes") return text.find_first_not_of(' ') != std::string::npos;  // llama.cpp spells no bytes
  if (!name.starts_with("bert")) return false;
  // Hangul, which llama.cpp takes apart and keeps the first letters of, a mark that is no accent, a separator of lines,
  // a piece "##▁" that llama.cpp takes for the beginning of a word, and a token of its own that llama.cpp looks for
  // with a "▁" before it.
  return has("\ud55c") || has("\u20e3") || has("\u2028") || has("\u2581") || has("<tool>");
}

}  // namespace

TEST_CASE("vocabularies of GGUF files of unigrams and word pieces give llama.cpp's ids, and the libraries' texts") {
  for (const std::string name :
       {"t5", "unigram", "unigram_spaces", "unigram_no_prefix", "unigram_bytes", "bert", "bert_cased"}) {
    CAPTURE(name);
    const auto tokenizer = opened_vocabulary(name);
    const Json golden = Json::parse(read_whole(vocabularies_folder() / (name + ".json")));
    const Json& texts = golden["texts"];
    REQUIRE(texts.size() > 80);
    const bool ends_alone = name == "t5";
    if (ends_alone) CHECK(tokenizer->after() == Ids{1});
    std::size_t with_library = 0, like_library = 0, round_trips = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::string text = texts[i];
      CAPTURE(texts[i].dump());
      const bool differs = golden["library"][i] != 0 && goes_with_library(name, text);
      if (differs) ++with_library;
      const Ids expected = golden[differs ? "library" : "ids"][i].get<Ids>();
      // llama-tokenize adds special tokens only where a text begins with one.
      CHECK(Json(tokenizer->encode(text, !ends_alone)) == Json(expected));
      if (golden["parsed_ids"][i] != 0 && !differs) {
        CHECK(Json(tokenizer->encode(text, !ends_alone, {.parse = true})) == golden["parsed_ids"][i]);
      }
      const Ids library_ids = golden["library"][i] == 0 ? golden["ids"][i].get<Ids>() : golden["library"][i].get<Ids>();
      if (Json(tokenizer->encode(text)) == Json(library_ids)) ++like_library;
      // The special tokens that T5's texts spell have text in llama.cpp's file and none in tokenizers.
      if (golden["decoded"][i].is_null() || (ends_alone && text.find("<extra_id_") != std::string::npos)) continue;
      CHECK(tokenizer->decode(library_ids) == golden["decoded"][i].get<std::string>());
      if (tokenizer->decode(expected) == text) ++round_trips;
    }
    MESSAGE(name << ": " << with_library << " of " << texts.size() << " as the library, " << round_trips
                 << " round trips, " << like_library << " like the library");
    CHECK(round_trips > 5);
    // The libraries differ in how rules of normalization see clusters, sentencepiece puts a prefix before spaces alone.
    CHECK(like_library + (name == "unigram_spaces" ? 13 : 8) >= texts.size());
    if (name != "unigram_bytes") CHECK(with_library < 6);
  }
}

}  // namespace heed::convert
