// The shipped translator of dates: on days that its training never saw, and what it looked at.
#include <doctest/doctest.h>

#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "heed/error.h"
#include "heed/translate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kDates = fs::path(HEED_SOURCE_DIR) / "models" / "dates";

/// Dates as written, and as ISO 8601 has them.
std::pair<std::vector<std::string>, std::vector<std::string>> unseen_dates() {
  std::pair<std::vector<std::string>, std::vector<std::string>> dates;
  std::ifstream file(kDates / "test.tsv");
  for (std::string line; std::getline(file, line);) {
    const std::size_t tab = line.find('\t');
    REQUIRE(tab != std::string::npos);
    dates.first.push_back(line.substr(0, tab));
    dates.second.push_back(line.substr(tab + 1));
  }
  return dates;
}

}  // namespace

TEST_CASE("dates: at least 99 % of 1,000 unseen ones exact, greedily and with beams") {
  const ConvertedModel converted(kDates);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  auto [written, iso] = unseen_dates();
  REQUIRE(written.size() == 1000);
  if (quick()) written.resize(100);
  for (const int beams : {1, 4}) {
    TranslationOptions options;
    options.beams = beams;
    const auto made = model.translate(written, options);
    std::size_t right = 0;
    for (std::size_t i = 0; i < made.size(); ++i) right += made[i].at(0).text == iso[i] ? 1 : 0;
    MESSAGE("dates, " << beams << " beams: " << right << " of " << written.size() << " exact");
    CHECK(100 * right >= 99 * written.size());
  }
}

TEST_CASE("dates: each line's translation is handed over once, as soon as it is there") {
  const ConvertedModel converted(kDates);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  std::vector<std::string> lines = unseen_dates().first;
  lines.resize(40);
  lines[7] = " ";
  TranslationOptions options;
  options.batch = 1;
  std::vector<std::string> handed(lines.size(), "none");
  std::size_t count = 0;
  options.translated = [&](std::size_t index, const std::vector<Translation>& best) {
    CHECK(handed[index] == "none");
    handed[index] = best.at(0).text;
    ++count;
  };
  options.cancelled = [&] { return count == 39; };
  const auto made = model.translate(lines, options);
  // Sorted by length within 32 sentences alone, so that the first of a long file do not wait for the last.
  CHECK(count == 39);
  CHECK(handed[0] != "none");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (made[i].empty()) {
      CHECK(i > 32);
      CHECK(handed[i] == "none");
    } else {
      CHECK(handed[i] == made[i].at(0).text);
    }
  }
  options.cancelled = nullptr;
  options.translated = [](std::size_t, const std::vector<Translation>&) { throw Error("enough"); };
  CHECK_THROWS_WITH(model.translate(lines, options), "enough");
}

TEST_CASE("dates: what is longer than the first room for it is what it is with room from the start") {
  const convert_test::TempFolder folder;
  for (const char* name : {"model.safetensors", "source.json", "target.json"}) {
    fs::copy_file(kDates / name, folder.path() / name);
  }
  nlohmann::json config = read_json(kDates / "config.json");
  config["max_target_length"] = 200;
  std::ofstream(folder.path() / "config.json") << config;
  const ConvertedModel converted(folder.path());
  TranslationModel model(device(), converted.path(), CacheType::F32);
  const std::vector<std::string> lines = {"the 3rd of may, 2008", "19.08.2030", "4 june 1999", "1 jan 1900",
                                          "2 feb 1902"};
  for (const int beams : {1, 3}) {
    TranslationOptions options;
    options.beams = options.n_best = beams;
    options.min_tokens = 120;
    options.max_tokens = 130;
    // Afterwards steps are known to be short, so that submissions have 16 and end where the first room, of 32, does.
    model.translate(std::vector<std::string>{lines[0]}, options);
    const auto grown = model.translate(lines, options);
    const auto roomy = model.translate(lines, options);  // what grew stays
    for (std::size_t i = 0; i < lines.size(); ++i) {
      REQUIRE(grown[i].size() == roomy[i].size());
      for (std::size_t n = 0; n < grown[i].size(); ++n) {
        CHECK(grown[i][n].tokens.size() >= 120);
        CHECK(grown[i][n].tokens == roomy[i][n].tokens);
        CHECK(grown[i][n].score == roomy[i][n].score);
      }
    }
  }
}

TEST_CASE("dates: attention of each character written is a distribution over what was read, and changes nothing") {
  const ConvertedModel converted(kDates);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  const std::vector<std::string> line = {"saturday the 3rd of may, 2008"};
  const Translation before = model.translate(line).at(0).at(0);
  CHECK(before.text == "2008-05-03");
  const Attention attention = model.explain(model.tokenize(line[0]), before);
  CHECK(model.translate(line).at(0).at(0).text == before.text);
  CHECK(model.translate(line).at(0).at(0).score == before.score);

  REQUIRE(attention.nodes.size() == 1);
  const AttentionWeights& weights = attention.nodes[0];
  CHECK(weights.heads == 1);
  CHECK(weights.rows == static_cast<std::int64_t>(attention.target.size()));
  CHECK(weights.columns == static_cast<std::int64_t>(attention.source.size()));
  CHECK(attention.source.size() == line[0].size() + 1);  // and its end
  CHECK(attention.target.size() == before.text.size() + 1);
  const auto row = [&](std::int64_t r) {
    const auto begin = weights.weights.begin() + r * weights.columns;
    return std::vector<float>(begin, begin + weights.columns);
  };
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const std::vector<float> all = row(r);
    CHECK(std::accumulate(all.begin(), all.end(), 0.0f) == doctest::Approx(1.0).epsilon(1e-4));
  }
  // The digits of the month look at its name more than at the year.
  const auto sum = [&](std::int64_t r, const std::string& word) {
    const std::size_t at = line[0].find(word);
    const std::vector<float> all = row(r);
    return std::accumulate(all.begin() + static_cast<std::ptrdiff_t>(at),
                           all.begin() + static_cast<std::ptrdiff_t>(at + word.size()), 0.0f);
  };
  CHECK(sum(6, "may,") > sum(6, "2008"));
}

}  // namespace heed::golden
