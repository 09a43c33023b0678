// GGUF files in quantised types as llama-quantize mixes them, against double precision on the weights as llama.cpp's
// own package decodes them, and llama.cpp's text; make_gguf.py made them.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/golden/golden_data.h"
#include "tools/convert/convert.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

struct QuantisedModel {
  const char* name;
  bool shared;            // lies with the models of others, not in this repository
  std::set<DType> types;  // of its matrices
};

const QuantisedModel kQuantisedModels[] = {
    // Rows of 64, for which llama-quantize took other types than its own.
    {"stories-q4_k_m", true, {DType::F16, DType::Q8_0, DType::Q5_0}},
    {"stories-mixed", true, {DType::F16, DType::Q8_0, DType::Q5_1, DType::Q4_1, DType::IQ4_NL}},
    {"random-k_mixed", false, {DType::Q2_K, DType::Q3_K, DType::Q4_K, DType::Q5_K, DType::Q6_K}},
};
constexpr double kQuantisedTolerance = 1e-5;

std::vector<std::int32_t> tokens_in(const fs::path& npz, const std::string& name) {
  const Matrix row = read_npz(npz, name);
  return {row.values.begin(), row.values.end()};
}

}  // namespace

TEST_CASE("gguf: quantised models have the logits of their decoded weights, and llama.cpp's text") {
  for (const QuantisedModel& model : kQuantisedModels) {
    CAPTURE(std::string(model.name));
    fs::path goldens = convert_test::golden_folder().parent_path() / "gguf";
    if (model.shared) {
      const auto shared = convert_test::shared_file("models/stories260K/quantised");
      if (!shared) continue;
      goldens = *shared;
    }
    const fs::path file = goldens / (std::string(model.name) + ".gguf");
    const fs::path expected = goldens / (std::string(model.name) + ".npz");
    std::set<DType> types;
    for (const convert::SourceTensor& tensor : convert::read_checkpoint(file, {}).tensors) {
      if (tensor.shape.size() == 2) types.insert(tensor.dtype);
    }
    CHECK(types == model.types);

    const convert_test::TempFolder folder;
    TextModel text = convert_and_open(file, {}, folder);
    const std::vector<std::int32_t> tokens = tokens_in(expected, "tokens");
    const double error = logits_error(text.logits(tokens), read_npz(expected, "logits"));
    MESSAGE(std::string(model.name) << ": logits within " << error << " of their range");
    CHECK(error < kQuantisedTolerance);

    const std::vector<std::int32_t> greedy_tokens = tokens_in(expected, "greedy");
    const Generation made = greedy(text, tokens, static_cast<std::int64_t>(greedy_tokens.size()));
    CHECK(made.tokens == greedy_tokens);
    const std::vector<std::string> names = names_in_npz(expected);
    if (std::ranges::find(names, "llama_cpp") != names.end()) {
      const std::vector<std::int32_t> bytes = tokens_in(expected, "llama_cpp");
      CHECK(made.text == std::string(bytes.begin(), bytes.end()));
    }
  }
}

}  // namespace heed::golden
