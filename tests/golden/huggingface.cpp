// Folders as Hugging Face's transformers writes them, against transformers' own outputs; README.md says how they were
// made and what may differ.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/golden/golden_data.h"
#include "tools/convert/convert.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFolders[] = {"llama", "llama_gqa_tied", "llama_bias", "mistral", "gpt2"};
constexpr const char* kFamilyFolders[] = {"qwen2",
                                          "qwen3",
                                          "gemma",
                                          "gemma2",
                                          "gemma3",
                                          "olmo2",
                                          "granite",
                                          "stablelm",
                                          "phi3",
                                          "phi",
                                          "starcoder2",
                                          "gptj",
                                          "gpt_neox",
                                          "opt",
                                          "bloom",
                                          "falcon",
                                          "falcon_groups",
                                          "mixtral",
                                          "qwen2_moe",
                                          "qwen3_moe",
                                          "olmoe",
                                          "granitemoe",
                                          "granitemoeshared",
                                          "phimoe",
                                          "qwen2_windows",
                                          "phi_qk_norm",
                                          "opt_post_norm",
                                          "olmo",
                                          "olmo3",
                                          "smollm3",
                                          "gpt_bigcode",
                                          "gpt_bigcode_heads",
                                          "mpt",
                                          "cohere",
                                          "nemotron",
                                          "glm",
                                          "glm4",
                                          "falcon_alibi"};
constexpr double kTransformersTolerance = 1e-4;

std::vector<std::int32_t> ids_of(const nlohmann::json& json) { return json.get<std::vector<std::int32_t>>(); }

bool names_special_token(const std::string& text) {
  for (const char* name : {"<s>", "</s>", "<unk>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>"}) {
    if (text.find(name) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("hf: logits within 1e-4 of their range and the same greedy tokens, in one pass and token by token") {
  for (const char* name : kModelFolders) {
    const nlohmann::json golden = read_json(convert_test::golden_folder() / name / "golden.json");
    const std::vector<std::int32_t> prompt = ids_of(golden.at("prompt_tokens"));
    const std::vector<std::int32_t> expected = ids_of(golden.at("greedy_tokens"));
    for (const std::optional<DType> type : {std::optional<DType>(), std::optional(DType::F32)}) {
      CAPTURE(std::string(name));
      CAPTURE(type.has_value());
      const convert_test::TempFolder folder;
      TextModel model = convert_and_open(convert_test::golden_folder() / name, {}, folder, type);
      CHECK(model.has_tokenizer() == (std::string(name) != "llama_bias"));
      const double error = logits_error(model.logits(prompt), matrix_of(golden.at("logits")));
      MESSAGE(std::string(name) << ": logits within " << error << " of their range");
      CHECK(error < kTransformersTolerance);

      const Generation made = greedy(model, prompt, static_cast<std::int64_t>(expected.size()));
      CHECK(made.tokens == expected);

      std::vector<std::int32_t> all = prompt;
      all.insert(all.end(), expected.begin(), expected.end());
      const std::vector<float> logits = model.logits(all);
      const auto row = static_cast<std::size_t>(model.vocabulary());
      std::vector<std::int32_t> best;
      for (std::size_t i = prompt.size() - 1; i + 1 < all.size(); ++i) {
        best.push_back(argmax(std::span(logits).subspan(i * row, row)));
      }
      CHECK(best == expected);
    }
  }
}

TEST_CASE("hf: families that differ in data alone: logits within 1e-4 of their range and the same greedy tokens") {
  for (const char* name : kFamilyFolders) {
    CAPTURE(std::string(name));
    const nlohmann::json golden = read_json(convert_test::golden_folder() / name / "golden.json");
    const std::vector<std::int32_t> prompt = ids_of(golden.at("prompt_tokens"));
    std::vector<std::int32_t> expected = ids_of(golden.at("greedy_tokens"));
    constexpr std::int32_t kEnd = 2;  // of all these models, and where heed stops
    expected.erase(std::ranges::find(expected, kEnd), expected.end());
    const convert_test::TempFolder folder;
    TextModel model = convert_and_open(convert_test::golden_folder() / name, {}, folder);
    const double error = logits_error(model.logits(prompt), matrix_of(golden.at("logits")));
    MESSAGE(std::string(name) << ": logits within " << error << " of their range");
    CHECK(error < kTransformersTolerance);
    CHECK(greedy(model, prompt, static_cast<std::int64_t>(golden.at("greedy_tokens").size())).tokens == expected);
  }
}

TEST_CASE("hf: what a row of a mixture of experts gives does not depend on how many others there are") {
  for (const char* name : {"mixtral", "qwen2_moe", "granitemoeshared", "phimoe"}) {
    CAPTURE(std::string(name));
    const nlohmann::json golden = read_json(convert_test::golden_folder() / name / "golden.json");
    std::vector<std::int32_t> tokens = ids_of(golden.at("prompt_tokens"));
    const std::vector<std::int32_t> more = ids_of(golden.at("greedy_tokens"));
    tokens.insert(tokens.end(), more.begin(), more.end());
    const convert_test::TempFolder folder;
    TextModel model = convert_and_open(convert_test::golden_folder() / name, {}, folder);
    const std::vector<float> all = model.logits(tokens);
    for (const std::size_t count : {5, 9, 20}) {
      const std::vector<float> some =
          model.logits({tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)});
      CHECK(std::equal(some.begin(), some.end(), all.begin()));
    }
  }
}

TEST_CASE("hf: texts become the ids of their library, and ids the text again") {
  for (const char* name : {"llama", "llama_gqa_tied", "mistral", "gpt2"}) {
    CAPTURE(std::string(name));
    const nlohmann::json golden = read_json(convert_test::golden_folder() / name / "golden.json");
    const convert_test::TempFolder folder;
    const TextModel model = convert_and_open(convert_test::golden_folder() / name, {}, folder);
    std::size_t compared = 0;
    for (const nlohmann::json& example : golden.at("tokenizer_cases")) {
      const auto text = example.at("text").get<std::string>();
      CAPTURE(text);
      // heed shows the unknown token, which the libraries hide.
      if (text.find("<unk>") == std::string::npos) {
        CHECK(model.detokenize(ids_of(example.at("ids"))) == example.at("decoded").get<std::string>());
      }
      // As the tokenizers library does, which takes a special token's name for the token. The model "mistral" is read
      // from SentencePiece's file, and its golden ids are SentencePiece's.
      if (std::string(name) != "mistral") CHECK(model.tokenize(text, true) == ids_of(example.at("ids")));
      // By default a special token's name in a text is text to heed; the tokenizers library takes it for the token.
      if (std::string(name) != "mistral" && names_special_token(text)) continue;
      CHECK(model.tokenize(text) == ids_of(example.at("ids")));
      ++compared;
    }
    CHECK(compared >= golden.at("tokenizer_cases").size() - 3);
  }
}

TEST_CASE("hf: what byte-level models say, bytes that are no UTF-8 included, is shown as their library shows it") {
  for (const char* name : {"llama_gqa_tied", "gpt2"}) {
    CAPTURE(std::string(name));
    const nlohmann::json golden = read_json(convert_test::golden_folder() / name / "golden.json");
    const convert_test::TempFolder folder;
    TextModel model = convert_and_open(convert_test::golden_folder() / name, {}, folder);
    const std::vector<std::int32_t> prompt = ids_of(golden.at("prompt_tokens"));
    const auto count = static_cast<std::int64_t>(golden.at("greedy_tokens").size());
    CHECK(greedy(model, prompt, count).text == golden.at("greedy_text").get<std::string>());
  }
}

TEST_CASE("hf: config.json of transformers 4 gives the very file of transformers 5") {
  const fs::path folder = convert_test::golden_folder() / "llama_gqa_tied";
  const convert_test::TempFolder parent;
  const fs::path copy = parent.path() / folder.filename();  // models are called after their folder
  fs::create_directory(copy);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json") continue;
    fs::copy_file(entry.path(), copy / (name == "config_v4.json" ? "config.json" : name));
  }
  const convert_test::TempFolder out;
  const auto converted = [&](const fs::path& input, const char* name) {
    convert::ConvertOptions options;
    options.input = input;
    options.output = out.path() / name;
    convert::convert_checkpoint(options);
    return convert_test::read_whole(options.output);
  };
  CHECK(converted(folder, "v5.heed") == converted(copy, "v4.heed"));
}

}  // namespace heed::golden
