// What TranslationModel::explain() says that a model looked at, against the weights that transformers and PyTorch give:
// the folders of tests/golden/translation that have them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

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
    TranslationModel model(device(), converted.path(), CacheType::F32);
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

TEST_CASE("attention: a text explained has the weights that transformers gives") {
  for (const char* name : {"llama_gqa_tied", "mistral", "gpt2"}) {
    CAPTURE(std::string(name));
    const fs::path from = convert_test::golden_folder() / name;
    const convert_test::TempFolder folder;
    TextModel model = convert_and_open(from, {}, folder);
    const nlohmann::json golden = read_json(from / "golden.json");
    auto tokens = golden.at("prompt_tokens").get<std::vector<std::int32_t>>();
    for (const std::int32_t token : golden.at("greedy_tokens")) tokens.push_back(token);
    const Attention attention = model.explain(tokens).value();
    check_attention(attention);
    CHECK(attention.target.size() == tokens.size() - 1);
    const HostTensor expected = read_npz_tensor(from / "attention.npz", "weights");
    REQUIRE(static_cast<std::int64_t>(attention.nodes.size()) == expected.type.shape[0]);
    const std::vector<float> weights = weights_of(attention, AttentionKind::Target);
    REQUIRE(weights.size() == expected.data.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      REQUIRE(std::abs(static_cast<double>(weights[i]) - expected.data[i]) < kWeightTolerance);
    }
    for (const AttentionWeights& node : attention.nodes) check_rows(node);

    const Attention second = model.explain(tokens, {1}).value();
    REQUIRE(second.nodes.size() == 1);
    CHECK(second.nodes[0].node == attention.nodes[1].node);
    CHECK(second.nodes[0].weights == attention.nodes[1].weights);
    CHECK_THROWS_WITH(model.explain(tokens, {99}),
                      doctest::Contains("layer 99 was asked for; the model has layers 0 to"));
    CHECK_THROWS_WITH(model.explain({tokens[0]}), doctest::Contains("there is but one"));
    // What is generated afterwards is what it was before.
    const auto prompt = golden.at("prompt_tokens").get<std::vector<std::int32_t>>();
    CHECK(greedy(model, prompt, 8).tokens ==
          std::vector<std::int32_t>(tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()),
                                    tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()) + 8));
    const testing::TemporaryFolder out;
    for (const char* file : {"text.png", "text.html", "text.npz"}) write_attention(out.path(file), attention, {});
  }
}

TEST_CASE("attention: a text longer than a chunk is explained as a whole") {
  const convert_test::TempFolder folder;
  const fs::path from = convert_test::golden_folder() / "llama_bias";
  fs::create_directory(folder.path() / "longer");
  fs::copy_file(from / "model.safetensors", folder.path() / "longer" / "model.safetensors");
  nlohmann::json config = read_json(from / "config.json");
  config["max_position_embeddings"] = 128;
  std::ofstream(folder.path() / "longer" / "config.json") << config;
  TextModel model = convert_and_open(folder.path() / "longer", {}, folder);
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < std::min<std::int64_t>(model.context(), 100); ++i)
    tokens.push_back(static_cast<std::int32_t>(i * 7 % model.vocabulary()));
  REQUIRE(tokens.size() > 65);
  const Attention all = model.explain(tokens).value();
  tokens.resize(40);
  const Attention begin = model.explain(tokens).value();
  for (std::size_t n = 0; n < all.nodes.size(); ++n) {
    check_rows(all.nodes[n]);
    const AttentionWeights& whole = all.nodes[n];
    const AttentionWeights& part = begin.nodes[n];
    for (std::int64_t head = 0; head < whole.heads; ++head) {
      for (std::int64_t row = 0; row < part.rows; ++row) {
        for (std::int64_t column = 0; column < part.columns; ++column) {
          const auto at = [&](const AttentionWeights& node) {
            return static_cast<double>(
                node.weights[static_cast<std::size_t>((head * node.rows + row) * node.columns + column)]);
          };
          REQUIRE(at(whole) == doctest::Approx(at(part)).epsilon(1e-4));
        }
      }
    }
  }
}

}  // namespace heed::golden
