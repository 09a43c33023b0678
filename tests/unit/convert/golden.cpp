// Whole models: readers and recipes against what other programs computed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/convert/graph_in_double.h"
#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Ids = std::vector<std::int32_t>;

Ids greedy(GraphInDouble& model, const Ids& prompt, std::size_t count, std::size_t vocabulary) {
  Ids ids;
  std::vector<double> logits = model.run(prompt);
  while (ids.size() < count) {
    const auto last = logits.end() - static_cast<std::ptrdiff_t>(vocabulary);
    ids.push_back(static_cast<std::int32_t>(std::max_element(last, logits.end()) - last));
    logits = model.run({ids.back()});
  }
  return ids;
}

TEST_CASE("golden folders: logits and greedy tokens are those of transformers") {
  for (const char* name : {"llama", "llama_gqa_tied", "llama_bias", "mistral", "gpt2"}) {
    CAPTURE(name);
    Checkpoint checkpoint = read_checkpoint(golden_folder() / name, {});
    const ModelHeader header = make_header(checkpoint, {});
    const auto golden = nlohmann::json::parse(read_whole(golden_folder() / name / "golden.json"));
    const auto prompt = golden.at("prompt_tokens").get<Ids>();
    const auto expected = golden.at("greedy_tokens").get<Ids>();
    const auto vocabulary = checkpoint.parameters["vocabulary"].get<std::size_t>();

    GraphInDouble whole(header.graphs.front(), checkpoint);
    const std::vector<double> logits = whole.run(prompt);
    const auto rows = golden.at("logits").get<std::vector<std::vector<double>>>();
    REQUIRE(logits.size() == rows.size() * vocabulary);
    double worst = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      worst = std::max(worst, std::abs(logits[i] - rows[i / vocabulary].at(i % vocabulary)));
    }
    CHECK(worst <= 1e-5 * golden.at("logit_range").get<double>());

    GraphInDouble stepwise(header.graphs.front(), checkpoint);
    CHECK(greedy(stepwise, prompt, expected.size(), vocabulary) == expected);
  }
}

TEST_CASE("stories260K: greedy tokens are those of llama.cpp") {
  const auto golden_file = shared_file("models/stories260K/golden_tokens.json");
  if (!golden_file) return;
  const auto folder = golden_file->parent_path();
  for (const char* name : {"stories260K-f32.gguf", "stories260K-q8_0.gguf", "stories260K.bin"}) {
    CAPTURE(name);
    const bool is_bin = std::string(name).ends_with(".bin");
    Checkpoint checkpoint = read_checkpoint(folder / name, is_bin ? folder / "tok512.bin" : "");
    const ModelHeader header = make_header(checkpoint, {});
    const auto tokenizer = Tokenizer::from_json(checkpoint.tokenizer);
    const auto golden = nlohmann::json::parse(read_whole(folder / "golden.json"));
    const auto& texts = golden.at(is_bin ? "stories260K-f32.gguf" : name);
    const std::string prompt = texts.begin().key();
    GraphInDouble model(header.graphs.front(), checkpoint);
    const Ids ids = greedy(model, tokenizer->encode(prompt), 40, 512);
    std::string text;
    for (const TokenId id : ids) text += tokenizer->piece(id);
    CHECK(texts.begin().value().get<std::string>().starts_with(text));
    CHECK(text.size() > 40);
  }
}

}  // namespace
}  // namespace heed::convert
