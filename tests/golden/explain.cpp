// What TranslationModel::explain() says that a model looked at, against the weights that transformers and PyTorch give:
// the folders of tests/golden/translation that have them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "formats/alignment.h"
#include "formats/attention_file.h"
#include "heed/translate.h"
#include "tests/golden/golden_data.h"
#include "tests/temporary_folder.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kWeightTolerance = 1e-4;

/// The nodes of one kind, all of them one after the other as [nodes, heads, rows, columns].
std::vector<float> weights_of(const Attention& attention, AttentionKind kind) {
  std::vector<float> weights;
  for (const AttentionWeights& node : attention.nodes) {
    if (node.kind == kind) weights.insert(weights.end(), node.weights.begin(), node.weights.end());
  }
  return weights;
}

/// Rows add up to 1; a decoder does not see what it has yet to write.
void check_rows(const AttentionWeights& node) {
  for (std::int64_t row = 0; row < node.heads * node.rows; ++row) {
    const auto begin = node.weights.begin() + row * node.columns;
    double sum = 0;
    for (std::int64_t column = 0; column < node.columns; ++column) {
      sum += static_cast<double>(begin[column]);
      if (node.kind == AttentionKind::Target && column > row % node.rows) REQUIRE(begin[column] == 0.0f);
    }
    REQUIRE(std::abs(sum - 1.0) < 1e-5);
  }
}

}  // namespace

TEST_CASE("attention: a translation explained has the weights that transformers and PyTorch give") {
  std::size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "translation")) {
    const fs::path golden = entry.path() / "golden.npz";
    const std::vector<std::string> names = names_in_npz(golden);
    const bool recurrent = std::ranges::find(names, "attention.0") != names.end();
    if (!recurrent && std::ranges::find(names, "cross.0") == names.end()) continue;
    CAPTURE(entry.path().filename().string());
    const ConvertedModel converted(entry.path());
    TranslationModel model(device(), converted.path());
    const nlohmann::json sentences = read_json(entry.path() / "golden.json");
    const auto source = sentences.at("sources").at(0).get<std::vector<std::int32_t>>();
    const auto fed = sentences.at("targets").at(0).get<std::vector<std::int32_t>>();
    Translation translation;
    translation.tokens.assign(fed.begin() + 1, fed.end());

    const Attention attention = model.explain(source, translation);
    check_attention(attention);
    if (attention.begin != std::to_string(fed.front())) continue;  // the target began with another token there
    const HostTensor expected = read_npz_tensor(golden, recurrent ? "attention.0" : "cross.0");
    const std::vector<float> weights = weights_of(attention, AttentionKind::Cross);
    REQUIRE(weights.size() == expected.data.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      REQUIRE(std::abs(static_cast<double>(weights[i]) - expected.data[i]) < kWeightTolerance);
    }
    CHECK(attention.target.size() == fed.size());
    CHECK(attention.target_special.back());
    CHECK(std::ranges::count(attention.target_special, true) == 1);

    const Attention all = model.explain(source, translation, {}, true);
    check_attention(all);
    CHECK(weights_of(all, AttentionKind::Cross) == weights);
    CHECK(weights_of(all, AttentionKind::Source).empty() == recurrent);
    CHECK(weights_of(all, AttentionKind::Target).empty() == recurrent);
    for (const AttentionWeights& node : all.nodes) {
      CAPTURE(node.node);
      check_rows(node);
      CHECK(node.node.starts_with("encoder.") == (node.kind == AttentionKind::Source));
    }

    // Each token of the target is aligned, but the end.
    const std::string pairs = pharaoh_pairs(attention, {}, AlignmentUnit::Tokens);
    CHECK(std::ranges::count(pairs, '-') == static_cast<std::ptrdiff_t>(fed.size()) - 1);
    const testing::TemporaryFolder folder;
    for (const char* name : {"all.png", "all.html", "all.npz"}) write_attention(folder.path(name), all, {});
    const std::vector<std::string> arrays = names_in_npz(folder.path("all.npz"));
    CHECK(arrays.size() == all.nodes.size() + 2);
    for (const AttentionWeights& node : all.nodes) {
      const HostTensor written = read_npz_tensor(folder.path("all.npz"), node.node);
      CHECK(written.data == std::vector<double>(node.weights.begin(), node.weights.end()));
    }
    ++compared;
  }
  CHECK(compared >= 14);
}

}  // namespace heed::golden
