#include "tools/convert/huggingface.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/huggingface_config.h"
#include "tools/convert/huggingface_tensors.h"
#include "tools/convert/json_text.h"
#include "tools/convert/own_model.h"
#include "tools/convert/rope_scaling.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"
#include "tools/convert/tokenizer_config.h"
#include "tools/convert/translation.h"
#include "tools/convert/translation_config.h"
#include "tools/convert/translation_tokenizer.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxTokenizerBytes = 128 << 20;

void read_tokenizer(const fs::path& folder, const HuggingFaceConfig& config, Checkpoint& checkpoint) {
  const auto vocabulary = config.parameters["vocabulary"].get<std::int64_t>();
  checkpoint.end_tokens = config.end_tokens;
  TokenizerDescription description;
  const nlohmann::json tokenizer_config = read_json_if_any(folder / "tokenizer_config.json", kMaxConfigBytes);
  if (const fs::path json = folder / "tokenizer.json"; file_exists(json)) {
    description = read_tokenizer_json(json.string(), read_json(json, kMaxTokenizerBytes), vocabulary);
    refuse_added_tokens(tokenizer_config, "tokenizer.json", description);
    add_tokens_of_config(tokenizer_config, description, checkpoint.notes);
  } else if (const fs::path model = folder / "tokenizer.model"; file_exists(model)) {
    description = read_sentencepiece(model.string(), SourceFile::open(model)->read_all(kMaxTokenizerBytes),
                                     tokenizer_config, vocabulary);
  } else if (has_vocab_and_merges(folder)) {
    description = read_vocab_and_merges(folder, std::string(config.family->name), vocabulary);
    refuse_added_tokens(tokenizer_config, "vocab.json", description);
    add_tokens_of_config(tokenizer_config, description, checkpoint.notes);
  } else {
    checkpoint.notes.push_back(
        "the folder holds no tokenizer.json, tokenizer.model, or vocab.json with merges.txt: the model can only be fed "
        "token ids");
    return;
  }
  for (const std::int32_t end : config.end_tokens) {
    // config.json may name an id that only the model has.
    if (static_cast<std::size_t>(end) < description.pieces.size()) continue;
    description.pad(static_cast<std::size_t>(end) + 1);
  }
  description.end = config.end_tokens;
  description.pad(static_cast<std::size_t>(vocabulary));
  if (nlohmann::json chat = read_chat_format(folder, tokenizer_config, checkpoint.notes); !chat.is_null()) {
    checkpoint.metadata["chat"] = std::move(chat);
  }
  checkpoint.tokenizer = description.to_json();
}

}  // namespace

bool is_huggingface(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && file_exists(path / "config.json");
}

Checkpoint read_huggingface(const fs::path& folder, std::int64_t context) {
  const nlohmann::json config_json = read_json(folder / "config.json", kMaxConfigBytes);
  if (context > 0 && (is_own_translation(config_json) || is_translation_config(config_json))) {
    throw_context_is_settled((folder / "config.json").string());
  }
  if (is_own_translation(config_json)) return read_own_translation(folder, config_json);
  if (is_translation_config(config_json)) return read_translation(folder, config_json);
  const HuggingFaceConfig config = read_huggingface_config(
      config_json, read_json_if_any(folder / "generation_config.json", kMaxConfigBytes), context);
  Checkpoint checkpoint;
  checkpoint.family = "decoder";
  checkpoint.architecture = config.family->name;
  checkpoint.source = format_of_weights(folder);
  checkpoint.name = valid_utf8(fs::absolute(folder).lexically_normal().filename().string());
  checkpoint.parameters = config.parameters;
  checkpoint.notes = config.notes;
  const auto is_buffer = [&](std::string_view name) { return is_huggingface_buffer(*config.family, name); };
  map_huggingface_tensors(config, read_weight_files(folder, is_buffer, checkpoint.notes), checkpoint);
  if (!config.tied) {
    const bool has_output = std::ranges::any_of(
        checkpoint.tensors, [](const SourceTensor& tensor) { return tensor.name == "output.weight"; });
    if (!has_output)
      throw Error(fmt::format("tensor '{}' is missing, but config.json says it is not tied to the embedding",
                              checkpoint.name_in_file("output.weight")));
  }
  read_tokenizer(folder, config, checkpoint);
  return checkpoint;
}

}  // namespace heed::convert
