// Greedy and beam search of translation models, against what transformers' generate makes with the same settings: the
// folders of tests/golden/translation whose golden.json has it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "heed/translate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

using Ids = std::vector<std::int32_t>;

constexpr double kScoreTolerance = 1e-4;

/// The ids of a translation as golden.json has them: with the end token, and without padding behind it, which nobody
/// can tell from tokens of that id that were chosen.
Ids as_golden(const Translation& made, std::int32_t end, std::int32_t pad) {
  Ids ids = made.tokens;
  if (made.ended) ids.push_back(end);
  while (ids.size() > 1 && ids.back() == pad && pad != end) ids.pop_back();
  return ids;
}

}  // namespace

TEST_CASE("translation: greedy and beam search make the tokens of transformers, with its scores") {
  std::set<std::string> seen;
  for (const TranslationGolden& of_kind : translation_goldens("beam")) {
    const nlohmann::json& golden = of_kind.golden;
    const std::string& kind = of_kind.kind;
    CAPTURE(kind);
    seen.insert(kind);
    const ConvertedModel converted(of_kind.folder);
    TranslationModel model(device(), converted.path(), CacheType::F32);
    const auto end = converted.file().metadata().at("end_tokens").at(0).get<std::int32_t>();
    const auto pad = converted.file().metadata().at("pad").get<std::int32_t>();
    const auto sources = golden.at("sources").get<std::vector<Ids>>();

    TranslationOptions options;
    options.max_tokens = golden.at("max_new_tokens").get<std::int64_t>();
    options.beams = 1;
    options.early_stopping = EarlyStopping::IfNoBetter;
    options.length_penalty = 1.0;
    const auto greedy = model.translate(sources, options);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      CAPTURE(i);
      CHECK(as_golden(greedy[i].at(0), end, pad) == golden.at("greedy").at(i).at("tokens").get<Ids>());
    }

    options = {};
    options.max_tokens = golden.at("max_new_tokens").get<std::int64_t>();
    options.beams = options.n_best = 4;
    const auto best = model.translate(sources, options);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      CAPTURE(i);
      const nlohmann::json& expected = golden.at("beam").at(i);
      REQUIRE(best[i].size() == expected.size());
      for (std::size_t n = 0; n < best[i].size(); ++n) {
        CAPTURE(n);
        CHECK(as_golden(best[i][n], end, pad) == expected.at(n).at("tokens").get<Ids>());
        CHECK(best[i][n].score == doctest::Approx(expected.at(n).at("score").get<double>()).epsilon(kScoreTolerance));
      }
      // Neither the others nor its place among them matter, to the last bit.
      const auto alone = model.translate(std::vector<Ids>{sources[i]}, options);
      for (std::size_t n = 0; n < best[i].size(); ++n) {
        CHECK(alone.at(0).at(n).tokens == best[i][n].tokens);
        CHECK(alone.at(0).at(n).score == best[i][n].score);
      }
    }
  }
  CHECK(seen.size() >= 8);
}

TEST_CASE("translation: what comes for a sentence is the same bits alone and among others, searched or drawn") {
  std::set<std::string> seen;
  for (const TranslationGolden& of_kind : translation_goldens("sources")) {
    const nlohmann::json& golden = of_kind.golden;
    const std::string& kind = of_kind.kind;
    CAPTURE(kind);
    const ConvertedModel converted(of_kind.folder);
    TranslationModel model(device(), converted.path(), CacheType::F32);
    const auto sources = golden.at("sources").get<std::vector<Ids>>();
    for (const int ways : quick() ? std::vector<int>{3} : std::vector<int>{1, 2, 3, 5}) {
      for (const bool drawn : {false, true}) {
        CAPTURE(ways);
        CAPTURE(drawn);
        TranslationOptions options;
        options.max_tokens = 7;
        options.n_best = ways;
        (drawn ? options.samples : options.beams) = ways;
        options.sampling.seed = 5;
        const auto together = model.translate(sources, options);
        for (std::size_t i = 0; i < sources.size(); ++i) {
          const auto alone = model.translate(std::vector<Ids>{sources[i]}, options);
          REQUIRE(alone[0].size() == together[i].size());
          for (std::size_t n = 0; n < alone[0].size(); ++n) {
            CHECK(alone[0][n].tokens == together[i][n].tokens);
            CHECK(alone[0][n].score == together[i][n].score);
          }
        }
      }
    }
    seen.insert(kind);
  }
  CHECK(seen.size() >= 10);
}

TEST_CASE("translation: beam search with beams enough finds what listing every translation finds") {
  const fs::path folder = fs::path(HEED_SOURCE_DIR) / "tests/golden/translation/torch_every";
  const nlohmann::json golden = read_json(folder / "golden.json");
  const ConvertedModel converted(folder);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  const auto end = converted.file().metadata().at("end_tokens").at(0).get<std::int32_t>();
  const auto sources = golden.at("sources").get<std::vector<Ids>>();

  TranslationOptions options;
  // All that can go on at once: 3 tokens that do not end, to the third place.
  options.beams = options.n_best = 32;
  options.max_tokens = golden.at("every_to").get<std::int64_t>();
  options.early_stopping = EarlyStopping::Never;
  struct Listed {
    Ids tokens;
    double score;
  };
  for (const double penalty : {0.0, 1.0, 2.5}) {
    for (const std::int64_t least : {0, 3}) {
      CAPTURE(penalty);
      CAPTURE(least);
      options.length_penalty = penalty;
      options.min_tokens = least;
      const auto found = model.translate(sources, options);
      for (std::size_t i = 0; i < sources.size(); ++i) {
        CAPTURE(i);
        std::vector<Listed> all;
        for (const nlohmann::json& one : golden.at("every").at(i)) {
          Ids tokens = one.at("tokens").get<Ids>();
          const auto made = static_cast<std::int64_t>(tokens.size());
          if (tokens.back() == end && made <= least) continue;
          all.push_back({tokens, one.at("sum").get<double>() / std::pow(static_cast<double>(made), penalty)});
        }
        std::ranges::sort(all, std::greater(), &Listed::score);
        all.resize(std::min<std::size_t>(all.size(), 32));
        REQUIRE(found[i].size() == all.size());
        for (std::size_t n = 0; n < all.size(); ++n) {
          CAPTURE(n);
          CHECK(as_golden(found[i][n], end, -1) == all[n].tokens);
          CHECK(found[i][n].score == doctest::Approx(all[n].score).epsilon(kScoreTolerance));
        }
      }
    }
  }
}

TEST_CASE(
    "translation: the four best of the shipped models, and their scores, are those of the same search in PyTorch") {
  for (const char* name : {"en-ja", "dates"}) {
    CAPTURE(std::string(name));
    const fs::path source_folder = HEED_SOURCE_DIR;
    const nlohmann::json golden =
        read_json(source_folder / "tests" / "golden" / "shipped" / (std::string(name) + ".json"));
    const ConvertedModel converted(source_folder / "models" / name);
    TranslationModel model(device(), converted.path(), CacheType::F32);
    std::vector<Ids> sources;
    for (const nlohmann::json& line : golden) sources.push_back(line.at("source").get<Ids>());
    REQUIRE(sources.size() == 40);
    TranslationOptions options;
    options.beams = options.n_best = 4;
    const auto made = model.translate(sources, options);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      CAPTURE(i);
      const nlohmann::json& best = golden.at(i).at("best");
      REQUIRE(made[i].size() == best.size());
      for (std::size_t n = 0; n < best.size(); ++n) {
        CAPTURE(n);
        CHECK(made[i][n].tokens == best.at(n).at("tokens").get<Ids>());
        CHECK(made[i][n].score == doctest::Approx(best.at(n).at("score").get<double>()).epsilon(kScoreTolerance));
      }
    }
  }
}

}  // namespace heed::golden
