// Keys and values kept as f16, against the same model with f32, which the other goldens hold to its source.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>

#include "generate/text/session.h"
#include "heed/translate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

constexpr double kCacheTolerance = 1e-2;  // of the range of logits

Matrix as_matrix(const std::vector<float>& logits, std::int64_t vocabulary) {
  const auto columns = static_cast<std::size_t>(vocabulary);
  return {logits.size() / columns, columns, {logits.begin(), logits.end()}};
}

/// Compares a model in `path` with itself: logits, and what it says, greedily, after `prompt`.
void compare(const fs::path& path, const Ids& prompt, std::int64_t count) {
  TextModel exact(device(), path, 0, CacheType::F32);
  TextModel half(device(), path, 0, CacheType::F16);
  CHECK(exact.cache_type() == CacheType::F32);
  REQUIRE(half.cache_type() == CacheType::F16);
  const Ids expected = greedy(exact, prompt, count).tokens;
  const Ids made = greedy(half, prompt, count).tokens;
  const auto same = std::ranges::mismatch(made, expected).in1 - made.begin();
  Ids all = prompt;
  all.insert(all.end(), expected.begin(), expected.end());
  const std::vector<float> logits = half.logits(all);
  const double error = logits_error(logits, as_matrix(exact.logits(all), exact.vocabulary()));
  MESSAGE("logits within " << error << " of their range, " << same << " of " << expected.size() << " tokens the same");
  CHECK(error < kCacheTolerance);
  CHECK(error > 0.0);  // or nothing was rounded
  CHECK(made == expected);
}

/// Opens the kinds of translation models that can have caches of f16, `most` at most, with caches of f32 and of f16.
/// Gives how many it visited; recurrent ones and those with heads of other widths are none.
template <typename Visit>
std::size_t each_f16_translator(std::size_t most, const Visit& visit) {
  std::size_t visited = 0;
  for (const TranslationGolden& of_kind : translation_goldens("beam")) {
    CAPTURE(of_kind.kind);
    const ConvertedModel converted(of_kind.folder);
    TranslationModel exact(device(), converted.path(), CacheType::F32);
    TranslationModel half(device(), converted.path(), CacheType::F16);
    if (half.cache_type() != CacheType::F16) continue;
    visit(of_kind.golden, exact, half);
    if (++visited == most) break;
  }
  return visited;
}

}  // namespace

TEST_CASE("hf: text models with caches of f16 say what they say with f32") {
  for (const char* name : {"llama", "llama_bias", "llama_gqa_tied", "mistral", "gpt2"}) {
    CAPTURE(std::string(name));
    const fs::path source = convert_test::golden_folder() / name;
    const nlohmann::json golden = read_json(source / "golden.json");
    const convert_test::TempFolder folder;
    convert_and_open(source, {}, folder);
    const auto prompt = golden.at("prompt_tokens").get<Ids>();
    const auto count = static_cast<std::int64_t>(golden.at("greedy_tokens").size());
    compare(folder.path() / "model.heed", prompt, count);
  }
}

TEST_CASE("stories260K: 120 greedy tokens with a cache of f16 are those with f32") {
  const auto models = convert_test::shared_file("models/stories260K");
  if (!models) return;
  const convert_test::TempFolder folder;
  TextModel model = convert_and_open(*models / "stories260K-f32.gguf", {}, folder);
  compare(folder.path() / "model.heed", model.tokenize("Once upon a time"), 120);
}

TEST_CASE("shakespeare: 100 greedy tokens with a cache of f16 are those with f32") {
  const convert_test::TempFolder folder;
  TextModel model = convert_and_open(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare", {}, folder);
  compare(folder.path() / "model.heed", model.tokenize("ROMEO:\nWhat light"), 100);
}

TEST_CASE("hf: a context of thousands with a cache of f16, that grows, read as a prompt and a token at a time") {
  const fs::path source = convert_test::golden_folder() / "mistral";
  const convert_test::TempFolder parent;
  const fs::path longer = parent.path() / "longer";
  fs::create_directory(longer);
  for (const fs::directory_entry& entry : fs::directory_iterator(source)) {
    fs::copy_file(entry.path(), longer / entry.path().filename());
  }
  nlohmann::json config = read_json(source / "config.json");
  config["max_position_embeddings"] = 8192;
  config["sliding_window"] = nullptr;
  std::ofstream(longer / "config.json") << config;
  const convert_test::TempFolder folder;
  const std::int64_t vocabulary = convert_and_open(longer, {}, folder).vocabulary();
  Ids prompt;
  for (std::int64_t i = 0; i < TextSession::kFirstPositions - 16; ++i) {
    prompt.push_back(static_cast<std::int32_t>((i * i * 7 + i) % (vocabulary - 3)) + 3);
  }
  TextModel exact(device(), folder.path() / "model.heed", 0, CacheType::F32);
  TextModel half(device(), folder.path() / "model.heed", 0, CacheType::F16);
  const Ids made = greedy(half, prompt, 40).tokens;
  CHECK(made.size() == 40);
  // What it wrote a token at a time is what it thinks of the whole.
  Ids all = prompt;
  all.insert(all.end(), made.begin(), made.end());
  const std::vector<float> logits = half.logits(all);
  const auto row = static_cast<std::size_t>(half.vocabulary());
  for (std::size_t i = prompt.size() - 1; i + 1 < all.size(); ++i) {
    CHECK(argmax(std::span(logits).subspan(i * row, row)) == all[i + 1]);
  }
  const double error = logits_error(logits, as_matrix(exact.logits(all), exact.vocabulary()));
  MESSAGE("logits of " << all.size() << " tokens within " << error << " of their range");
  CHECK(error < kCacheTolerance);
}

TEST_CASE("translation: beams find with caches of f16 what they find with f32") {
  const std::size_t compared =
      each_f16_translator(SIZE_MAX, [](const nlohmann::json& golden, TranslationModel& exact, TranslationModel& half) {
        const auto sources = golden.at("sources").get<std::vector<Ids>>();
        TranslationOptions options;
        options.max_tokens = golden.at("max_new_tokens").get<std::int64_t>();
        for (const int beams : {1, 4}) {
          CAPTURE(beams);
          options.beams = beams;
          const auto expected = exact.translate(sources, options);
          const auto made = half.translate(sources, options);
          for (std::size_t i = 0; i < sources.size(); ++i) {
            CHECK(made[i].at(0).tokens == expected[i].at(0).tokens);
            CHECK(std::abs(made[i].at(0).score - expected[i].at(0).score) < kCacheTolerance);
          }
        }
      });
  CHECK(compared >= 2);
}

TEST_CASE("translation: what is looked at is the same with caches of f16") {
  const std::size_t compared =
      each_f16_translator(2, [](const nlohmann::json& golden, TranslationModel& exact, TranslationModel& half) {
        const auto source = golden.at("sources").at(0).get<Ids>();
        TranslationOptions options;
        options.max_tokens = 8;
        const Translation made = exact.translate(std::vector<Ids>{source}, options).at(0).at(0);
        const Attention expected = exact.explain(source, made, options, true);
        const Attention shown = half.explain(source, made, options, true);
        REQUIRE(shown.nodes.size() == expected.nodes.size());
        double worst = 0.0;
        for (std::size_t n = 0; n < shown.nodes.size(); ++n) {
          const std::vector<float>& weights = shown.nodes[n].weights;
          REQUIRE(weights.size() == expected.nodes[n].weights.size());
          for (std::size_t i = 0; i < weights.size(); ++i) {
            worst = std::max(worst, std::abs(static_cast<double>(weights[i] - expected.nodes[n].weights[i])));
          }
        }
        CHECK(worst < kCacheTolerance);
        CHECK(worst > 0.0);
      });
  CHECK(compared == 2);
}

}  // namespace heed::golden
