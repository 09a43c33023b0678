// Tokenizers of translation models against what their own libraries made of a few hundred awkward texts:
// tests/golden/tokenizers, made by tests/golden/make_tokenizers.py.
#include <doctest/doctest.h>

#include <cstdlib>

#include "heed/error.h"
#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/translation_tokenizer.h"

namespace heed::convert {
namespace {

using namespace convert_test;
namespace fs = std::filesystem;

fs::path tokenizers_folder() {
  const char* other = std::getenv("HEED_TOKENIZERS");
  return other == nullptr ? golden_folder().parent_path() / "tokenizers" : fs::path(other);
}

nlohmann::json json_file(const fs::path& path) { return nlohmann::json::parse(read_whole(path)); }

struct Opened {
  std::unique_ptr<Tokenizer> source, target;
};
Opened open(const fs::path& folder, const nlohmann::json& cases) {
  TokenizerOfModel model;
  model.model_type = cases["kind"];
  model.vocabulary = cases["vocabulary"];
  if (model.model_type == "sentencepiece") {
    nlohmann::json json = nlohmann::json::parse(read_tokenizer_file(folder / "tokenizer.model", model.vocabulary));
    json["before"] = nlohmann::json::array();
    return {Tokenizer::from_json(json.dump()), nullptr};
  }
  std::vector<std::string> notes;
  const TranslationTokenizers read = read_translation_tokenizers(folder, model, notes);
  CHECK(notes.empty());
  REQUIRE(!read.source.empty());
  return {Tokenizer::from_json(read.source), read.target.empty() ? nullptr : Tokenizer::from_json(read.target)};
}

void compare(const Opened& opened, const nlohmann::json& texts, const nlohmann::json& cases) {
  REQUIRE(texts.size() == cases["ids"].size());
  const Tokenizer& decoder = opened.target == nullptr ? *opened.source : *opened.target;
  std::size_t compared = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    CAPTURE(text);
    const nlohmann::json& ids = cases["ids"][i];
    if (ids.is_null()) continue;
    CHECK(nlohmann::json(opened.source->encode(text)) == ids);
    if (!cases["decoded"][i].is_null()) {
      CHECK(decoder.decode(ids.get<std::vector<TokenId>>()) == cases["decoded"][i].get<std::string>());
    }
    ++compared;
  }
  CHECK(compared > texts.size() * 9 / 10);
}

TEST_CASE("golden tokenizers: ids and texts are those of transformers, tokenizers and sentencepiece") {
  const fs::path folder = tokenizers_folder();
  const nlohmann::json texts = json_file(folder / "texts.json");
  REQUIRE(texts.size() > 100);
  for (const char* name : {"unigram", "unigram_bytes", "unigram_no_prefix", "bpe_rules", "char", "t5", "marian",
                           "m2m_100", "nllb", "bart"}) {
    CAPTURE(std::string(name));
    const nlohmann::json cases = json_file(folder / name / "cases.json");
    const Opened opened = open(folder / name, cases);
    CHECK(opened.source->vocabulary_size() == cases["vocabulary"].get<std::size_t>());
    compare(opened, texts, cases);
    if (cases.contains("languages")) {
      for (const auto& [code, id] : cases["languages"].items()) {
        CHECK(opened.source->language(code) == id.get<TokenId>());
      }
    }
    if (!cases.contains("target")) continue;
    for (std::size_t i = 0; i < cases["target"].size(); ++i) {
      const std::string text = texts[i];
      CAPTURE(text);
      if (!cases["ids"][i].is_null()) CHECK(nlohmann::json(opened.target->encode(text)) == cases["target"][i]);
    }
  }
}

/// A copy of a golden folder without some of its files.
void copy_without(const fs::path& from, const fs::path& to, const std::vector<std::string>& left_out) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (std::ranges::find(left_out, name) == left_out.end()) fs::copy_file(entry.path(), to / name);
  }
}

TEST_CASE("golden tokenizers: the files that tokenizer.json is made of give the same ids") {
  for (const char* name : {"t5", "bart"}) {
    CAPTURE(std::string(name));
    const TempFolder folder;
    copy_without(tokenizers_folder() / name, folder.path(), {"tokenizer.json"});
    const nlohmann::json cases = json_file(folder.path() / "cases.json");
    compare(open(folder.path(), cases), json_file(tokenizers_folder() / "texts.json"), cases);
  }
}

}  // namespace
}  // namespace heed::convert
