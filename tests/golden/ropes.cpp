// Kinds of rotary positions in a Hugging Face config.json, against transformers: ropes.json, which make_ropes.py made.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kRopeTolerance = 1e-4;

/// A copy of a folder of hf/ whose config.json says something else.
void copy_changed(const fs::path& from, const nlohmann::json& changes, const fs::path& to) {
  fs::create_directory(to);
  fs::copy_file(from / "model.safetensors", to / "model.safetensors");
  nlohmann::json config = read_json(from / "config.json");
  for (const auto& [key, value] : changes.items()) {
    config.erase(key);
    if (!value.is_null()) config[key] = value;
  }
  std::ofstream(to / "config.json") << config;
}

}  // namespace

TEST_CASE("ropes: yarn, longrope and dynamic positions give transformers' logits") {
  const nlohmann::json cases = read_json(convert_test::golden_folder().parent_path() / "ropes.json");
  CHECK(cases.size() == 13);
  for (const nlohmann::json& each : cases) {
    CAPTURE(each.at("name").get<std::string>());
    const convert_test::TempFolder folder;
    const fs::path changed = folder.path() / "changed";
    copy_changed(convert_test::golden_folder() / each.at("folder").get<std::string>(), each.at("changes"), changed);
    TextModel model = convert_and_open(changed, {}, folder, {}, each.at("context").get<std::int64_t>());
    const auto tokens = each.at("tokens").get<std::vector<std::int32_t>>();
    const Matrix expected = matrix_of(each.at("logits"));
    const std::vector<float> logits = model.logits(tokens);
    const std::vector<float> last(logits.end() - static_cast<std::ptrdiff_t>(expected.values.size()), logits.end());
    const double error = logits_error(last, expected);
    MESSAGE(each.at("name").get<std::string>() << ": logits within " << error << " of their range");
    CHECK(error < kRopeTolerance);
    if (each.at("name") == "longrope, a short text") {
      // What the model was not converted for it does not take.
      std::vector<std::int32_t> longer = tokens;
      longer.push_back(tokens.front());
      CHECK_THROWS_AS(model.logits(longer), Error);
    }
  }
}

}  // namespace heed::golden
