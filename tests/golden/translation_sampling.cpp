// Drawn translations, against the probabilities that PyTorch lists and against the greedy search of transformers.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "heed/translate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

using Ids = std::vector<std::int32_t>;

TranslationOptions plain_samples(int samples) {
  TranslationOptions options;
  options.samples = options.n_best = samples;
  options.sampling.temperature = 1.0;
  options.sampling.top_k = 0;
  options.sampling.top_p = 1.0;
  return options;
}

Ids with_end(const Translation& made) {
  Ids ids = made.tokens;
  if (made.ended) ids.push_back(made.end_token);
  return ids;
}

}  // namespace

TEST_CASE("translation: samples come as often as PyTorch lists them to be probable, with their scores") {
  const fs::path folder = fs::path(HEED_SOURCE_DIR) / "tests/golden/translation/torch_every";
  const nlohmann::json golden = read_json(folder / "golden.json");
  const ConvertedModel converted(folder);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  const auto sources = golden.at("sources").get<std::vector<Ids>>();
  const int runs = quick() ? 16 : 64;
  constexpr int kSamples = 32;
  TranslationOptions options = plain_samples(kSamples);
  options.max_tokens = golden.at("every_to").get<std::int64_t>();
  options.length_penalty = 0.0;
  std::vector<std::map<Ids, int>> seen(sources.size());
  for (int run = 0; run < runs; ++run) {
    options.sampling.seed = static_cast<std::uint64_t>(1000 + run);
    const auto drawn = model.translate(sources, options);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      REQUIRE(drawn[i].size() == kSamples);
      for (const Translation& one : drawn[i]) {
        ++seen[i][with_end(one)];
        const nlohmann::json& every = golden.at("every").at(i);
        const auto listed = std::ranges::find_if(
            every, [&](const nlohmann::json& other) { return other.at("tokens").get<Ids>() == with_end(one); });
        REQUIRE(listed != every.end());
        CHECK(one.score == doctest::Approx(listed->at("sum").get<double>()).epsilon(1e-4));
      }
    }
  }
  const double drawn = runs * kSamples;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    CAPTURE(i);
    double chi_square = 0.0;
    double rare = 0.0, rare_seen = 0.0;  // those of less than five together
    int freedom = -1;
    const auto count = [&](double expected, double found) {
      chi_square += (found - expected) * (found - expected) / expected;
      ++freedom;
    };
    for (const nlohmann::json& one : golden.at("every").at(i)) {
      const double expected = drawn * std::exp(one.at("sum").get<double>());
      const double found = seen[i][one.at("tokens").get<Ids>()];
      if (expected >= 5.0) {
        count(expected, found);
      } else {
        rare += expected;
        rare_seen += found;
      }
    }
    if (rare >= 5.0) count(rare, rare_seen);
    REQUIRE(freedom > 5);
    // Its mean is the degrees of freedom, its variance twice that: five deviations.
    CHECK(chi_square < freedom + 5.0 * std::sqrt(2.0 * freedom));
  }
}

TEST_CASE("translation: without chance, samples of every kind of model are the greedy translation") {
  std::set<std::string> seen;
  for (const TranslationGolden& of_kind : translation_goldens("greedy")) {
    const nlohmann::json& golden = of_kind.golden;
    const std::string& kind = of_kind.kind;
    CAPTURE(kind);
    seen.insert(kind);
    const ConvertedModel converted(of_kind.folder);
    TranslationModel model(device(), converted.path(), CacheType::F32);
    const nlohmann::json search = converted.file().metadata().value("search", nlohmann::json::object());
    const bool changes_probabilities =
        search.value("renormalize", false) || search.value("repetition_penalty", 1.0) != 1.0;
    const auto sources = golden.at("sources").get<std::vector<Ids>>();
    TranslationOptions options;
    options.max_tokens = golden.at("max_new_tokens").get<std::int64_t>();
    options.beams = 1;
    const auto greedy = model.translate(sources, options);
    options.beams.reset();
    for (const bool one_of_one : {false, true}) {
      TranslationOptions drawn = options;
      drawn.samples = drawn.n_best = 3;
      drawn.sampling.temperature = one_of_one ? 1.0 : 0.0;
      drawn.sampling.top_k = 1;
      const auto made = model.translate(sources, drawn);
      for (std::size_t i = 0; i < sources.size(); ++i) {
        CAPTURE(i);
        REQUIRE(made[i].size() == 3);
        for (const Translation& one : made[i]) {
          CHECK(with_end(one) == with_end(greedy[i].at(0)));
          // Beams score by what is left of the probabilities then, samples by the model's own.
          if (!changes_probabilities) CHECK(one.score == doctest::Approx(greedy[i].at(0).score).epsilon(1e-4));
        }
      }
    }
  }
  CHECK(seen.size() >= 10);
}

TEST_CASE("translation: samples keep to what is forbidden, forced and wanted at least") {
  const fs::path folder = fs::path(HEED_SOURCE_DIR) / "tests/golden/translation/torch_every";
  const ConvertedModel converted(folder);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  const std::vector<Ids> source = {{18, 8, 10, 7, 6, 5, 10, 3}};
  TranslationOptions options = plain_samples(32);
  options.max_tokens = 9;
  options.min_tokens = 4;
  options.no_repeat_ngram = 2;
  options.prefix_tokens = {2, 2, 0};
  std::set<Ids> seen;
  const auto drawn = model.translate(source, options);
  for (const Translation& one : drawn[0]) {
    seen.insert(one.tokens);
    REQUIRE(one.tokens.size() >= 4);
    CHECK(Ids(one.tokens.begin(), one.tokens.begin() + 3) == Ids{2, 2, 0});
    std::set<std::pair<std::int32_t, std::int32_t>> pairs;
    for (std::size_t i = 1; i < one.tokens.size(); ++i) {
      const std::pair pair(one.tokens[i - 1], one.tokens[i]);
      CHECK(pairs.insert(pair).second);
    }
  }
  CHECK(seen.size() > 8);
}

}  // namespace heed::golden
