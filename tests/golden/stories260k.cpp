// Real TinyStories weights, from llama2.c's file and from GGUF in four types, against llama.cpp and a double-precision
// implementation; the CARD.md beside the files says which to compare with what.
#include <doctest/doctest.h>

#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

struct Source {
  const char* file;
  const char* like;       // the file whose goldens hold
  const char* type;       // the logits that hold
  bool double_precision;  // llama.cpp rounds activations with q4_0, so double precision says what is right
};

constexpr Source kSources[] = {
    {"stories260K.bin", "stories260K-f32.gguf", "f32", false},
    {"stories260K-f32.gguf", "stories260K-f32.gguf", "f32", false},
    {"stories260K-f16.gguf", "stories260K-f16.gguf", "f16", false},
    {"stories260K-q8_0.gguf", "stories260K-q8_0.gguf", "q8_0", false},
    {"stories260K-q4_0.gguf", "stories260K-q4_0.gguf", "q4_0", true},
};
constexpr std::int64_t kTokens = 120;
constexpr double kLogitsTolerance = 1e-3;

TextModel open_stories(const fs::path& models, const Source& source, const convert_test::TempFolder& folder) {
  const bool llama2c = fs::path(source.file).extension() == ".bin";
  return convert_and_open(models / source.file, llama2c ? models / "tok512.bin" : fs::path(), folder);
}

}  // namespace

TEST_CASE("stories260K: prompt ids, and all 120 greedy tokens of all prompts, as the goldens have them") {
  const auto models = convert_test::shared_file("models/stories260K");
  if (!models) return;
  const nlohmann::json ids = read_json(*models / "golden_tokens.json");
  const nlohmann::json llama_cpp = read_json(*models / "golden.json");
  const nlohmann::json exact = read_json(*models / "golden_f64.json");
  for (const Source& source : kSources) {
    CAPTURE(std::string(source.file));
    const convert_test::TempFolder folder;
    TextModel model = open_stories(*models, source, folder);
    REQUIRE(llama_cpp.at(source.like).size() == 5);
    for (const auto& [key, text] : llama_cpp.at(source.like).items()) {
      const std::string& prompt = key;  // clang 14 captures no structured bindings
      CAPTURE(prompt);
      const auto prompt_ids = ids.at("prompts").at(prompt).get<std::vector<std::int32_t>>();
      CHECK(model.tokenize(prompt) == prompt_ids);
      const Generation made = greedy(model, prompt_ids, kTokens);
      CHECK(made.reason == StopReason::MaxTokens);
      const nlohmann::json& double_precision = exact.at(source.like).at(prompt);
      if (source.double_precision) {
        CHECK(made.text == double_precision.at("text").get<std::string>());
        CHECK(made.tokens == double_precision.at("tokens").get<std::vector<std::int32_t>>());
      } else {
        CHECK(made.text == text.get<std::string>());
        CHECK(made.tokens == ids.at("continuations").at(source.like).at(prompt).get<std::vector<std::int32_t>>());
      }
    }
  }
}

TEST_CASE("stories260K: logits of all positions within 1e-3 of their range") {
  const auto models = convert_test::shared_file("models/stories260K");
  if (!models) return;
  const fs::path golden = *models / "golden_logits.npz";
  const Matrix ids = read_npz(golden, "tokens");
  const std::vector<std::int32_t> tokens(ids.values.begin(), ids.values.end());
  for (const Source& source : kSources) {
    CAPTURE(std::string(source.file));
    const convert_test::TempFolder folder;
    TextModel model = open_stories(*models, source, folder);
    const Matrix expected = read_npz(golden, std::string(source.type) + ".logits");
    REQUIRE(expected.rows == tokens.size());
    REQUIRE(expected.columns == static_cast<std::size_t>(model.vocabulary()));
    const double error = logits_error(model.logits(tokens), expected);
    MESSAGE(std::string(source.file) << ": logits within " << error << " of their range");
    CHECK(error < kLogitsTolerance);
  }
}

TEST_CASE("stories260K: a prompt of several chunks gives the logits of the same tokens fed one by one") {
  const auto models = convert_test::shared_file("models/stories260K");
  if (!models) return;
  const convert_test::TempFolder folder;
  TextModel model = open_stories(*models, kSources[1], folder);
  // What the model says itself, long enough to span chunks of prompts whatever their size.
  const std::vector<std::int32_t> start = model.tokenize("Once upon a time");
  std::vector<std::int32_t> text = start;
  const Generation made = greedy(model, start, 250);
  text.insert(text.end(), made.tokens.begin(), made.tokens.end());
  const std::vector<float> logits = model.logits(text);
  const auto row = static_cast<std::size_t>(model.vocabulary());
  for (std::size_t i = start.size() - 1; i + 1 < text.size(); ++i) {
    CHECK(argmax(std::span(logits).subspan(i * row, row)) == text[i + 1]);
  }
  // And a prompt that is all but the end of it goes on as the generation did.
  const std::vector<std::int32_t> most(text.begin(), text.end() - 20);
  CHECK(greedy(model, most, 20).tokens == std::vector<std::int32_t>(text.end() - 20, text.end()));
}

}  // namespace heed::golden
