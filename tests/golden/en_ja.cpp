// The shipped translator from English to Japanese, on pairs that its training never saw: as good as PyTorch says, and
// as PyTorch translates.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "heed/translate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kEnJa = fs::path(HEED_SOURCE_DIR) / "models" / "en-ja";

using Words = std::vector<std::string>;

Words words_of(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// Corpus BLEU of Papineni et al., 2002, in percent: to four words, with brevity penalty.
double bleu(const std::vector<std::string>& made, const std::vector<std::string>& wanted) {
  constexpr std::size_t kMost = 4;
  std::array<double, kMost> matches{}, totals{};
  double length = 0, wanted_length = 0;
  const auto grams = [](const Words& words, std::size_t n) {
    std::map<Words, int> counts;
    for (std::size_t i = 0; i + n <= words.size(); ++i) {
      ++counts[Words(words.begin() + static_cast<std::ptrdiff_t>(i),
                     words.begin() + static_cast<std::ptrdiff_t>(i + n))];
    }
    return counts;
  };
  for (std::size_t line = 0; line < made.size(); ++line) {
    const Words have = words_of(made[line]);
    const Words want = words_of(wanted[line]);
    length += static_cast<double>(have.size());
    wanted_length += static_cast<double>(want.size());
    for (std::size_t n = 1; n <= kMost; ++n) {
      const std::map<Words, int> want_grams = grams(want, n);
      for (const auto& [gram, count] : grams(have, n)) {
        const auto found = want_grams.find(gram);
        matches[n - 1] += found == want_grams.end() ? 0 : std::min(count, found->second);
        totals[n - 1] += count;
      }
    }
  }
  double sum = 0;
  for (std::size_t n = 0; n < kMost; ++n) sum += std::log(matches[n] / totals[n]);
  return 100 * std::min(1.0, std::exp(1 - wanted_length / length)) * std::exp(sum / kMost);
}

}  // namespace

TEST_CASE("en-ja: BLEU on unseen pairs is PyTorch's, and so are the translations") {
  std::vector<std::string> english, japanese, pytorch;
  std::ifstream file(kEnJa / "test.tsv");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find('\t');
    const std::size_t second = line.find('\t', first + 1);
    REQUIRE(second != std::string::npos);
    english.push_back(line.substr(0, first));
    japanese.push_back(line.substr(first + 1, second - first - 1));
    pytorch.push_back(line.substr(second + 1));
  }
  REQUIRE(english.size() == 500);
  if (quick()) {
    for (auto* lines : {&english, &japanese, &pytorch}) lines->resize(32);
  }
  const ConvertedModel converted(kEnJa);
  TranslationModel model(device(), converted.path(), CacheType::F32);
  TranslationOptions options;
  options.beams = 4;
  std::vector<std::string> made;
  std::size_t same = 0;
  for (const auto& best : model.translate(english, options)) {
    same += best.at(0).text == pytorch[made.size()] ? 1 : 0;
    made.push_back(best.at(0).text);
  }
  const double ours = bleu(made, japanese);
  const double theirs = bleu(pytorch, japanese);
  MESSAGE("en-ja: BLEU " << ours << ", PyTorch's " << theirs << "; " << same << " of " << made.size()
                         << " lines the same");
  CHECK(std::abs(ours - theirs) < 0.1);
  if (!quick()) CHECK(ours >= 25.0);
  // Ties within rounding may go otherwise.
  CHECK(same * 100 >= made.size() * 98);
}

}  // namespace heed::golden
