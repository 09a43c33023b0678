// GGUF files of llama.cpp's architectures, as its own converter writes them, against transformers' outputs; README.md
// says how they were made.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kFamilyTolerance = 1e-4;
constexpr std::size_t kFamilies = 29;

fs::path families_folder() { return convert_test::golden_folder().parent_path() / "gguf" / "families"; }

void check_outputs(TextModel& model, const nlohmann::json& golden) {
  const auto prompt = golden.at("prompt_tokens").get<std::vector<std::int32_t>>();
  const auto expected = golden.at("greedy_tokens").get<std::vector<std::int32_t>>();
  const double error = logits_error(model.logits(prompt), matrix_of(golden.at("logits")));
  MESSAGE("logits within " << error << " of their range");
  CHECK(error < kFamilyTolerance);
  CHECK(greedy(model, prompt, static_cast<std::int64_t>(expected.size())).tokens == expected);
}

}  // namespace

TEST_CASE("gguf: files of llama.cpp's converter give transformers' logits and greedy tokens, for each architecture") {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(families_folder())) {
    if (entry.path().extension() == ".gguf") names.insert(entry.path().stem().string());
  }
  CHECK(names.size() == kFamilies);
  for (const std::string& name : names) {
    CAPTURE(name);
    MESSAGE(name);
    const convert_test::TempFolder folder;
    TextModel model = convert_and_open(families_folder() / (name + ".gguf"), {}, folder);
    check_outputs(model, read_json(families_folder() / (name + ".json")));
  }
}

}  // namespace heed::golden
