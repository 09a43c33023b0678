// What sentencepiece and Hugging Face tokenizers make of texts: vectors.json, made by make_vectors.py.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/tokenizer/test_data.h"
#include "tokenizer/tokenizer.h"

TEST_CASE("tokenizer: ids and texts are those of sentencepiece and tokenizers") {
  const auto content = heed::test::read_if_there(heed::test::source_path("tests/unit/tokenizer/vectors.json"));
  REQUIRE(content.has_value());
  const auto vectors = nlohmann::json::parse(*content);
  REQUIRE(vectors.size() == 13);
  for (const auto& vector : vectors) {
    const std::string name = vector["name"];
    CAPTURE(name);
    const auto tokenizer = heed::Tokenizer::from_json(vector["description"].dump());
    CHECK(tokenizer->vocabulary_size() == vector["description"]["pieces"].size());
    REQUIRE(vector["cases"].size() > 20);
    for (const auto& one : vector["cases"]) {
      const std::string text = one["text"];
      CAPTURE(text);
      const auto ids = tokenizer->encode(text);
      CHECK(nlohmann::json(ids) == one["ids"]);
      // null: an unknown piece is among them, which sentencepiece shows in another way.
      if (!one["decoded"].is_null()) CHECK(tokenizer->decode(ids) == one["decoded"].get<std::string>());
    }
  }
}
