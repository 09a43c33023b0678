#include "tools/convert/translation.h"

#include "tools/convert/config_reader.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"
#include "tools/convert/translation_config.h"
#include "tools/convert/translation_languages.h"
#include "tools/convert/translation_search.h"
#include "tools/convert/translation_tensors.h"
#include "tools/convert/translation_tokenizer.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {

namespace fs = std::filesystem;

Checkpoint read_translation(const fs::path& folder, const nlohmann::json& config_json) {
  const TranslationConfig config = read_translation_config(config_json);
  Checkpoint checkpoint;
  checkpoint.family = "transformer";
  checkpoint.source = format_of_weights(folder);
  checkpoint.name = valid_utf8(fs::absolute(folder).lexically_normal().filename().string());
  checkpoint.parameters = config.parameters;
  checkpoint.metadata =
      read_translation_search(config_json, read_json_if_any(folder / "generation_config.json", kMaxConfigBytes),
                              config.parameters["vocabulary"].get<std::int64_t>(),
                              config.parameters["source_vocabulary"].get<std::int64_t>(), checkpoint.notes);
  checkpoint.metadata.update(read_translation_languages(folder, config, checkpoint.metadata, checkpoint.notes));
  checkpoint.end_tokens = checkpoint.metadata["end_tokens"].get<std::vector<std::int32_t>>();
  const auto is_buffer = [&](std::string_view name) { return is_translation_buffer(config.family, name); };
  map_translation_tensors(config, read_weight_files(folder, is_buffer, checkpoint.notes), checkpoint);
  const auto vocabulary = config.parameters["source_vocabulary"].get<std::int64_t>();
  const auto target = config.parameters["vocabulary"].get<std::int64_t>();
  const std::string type = ConfigReader(config_json, "config.json").find_text("model_type").value_or("");
  TranslationTokenizers tokenizers = read_translation_tokenizers(
      folder, {type, vocabulary, target == vocabulary ? 0 : target, checkpoint.end_tokens}, checkpoint.notes);
  checkpoint.tokenizer = std::move(tokenizers.source);
  if (tokenizers.target != checkpoint.tokenizer) checkpoint.target_tokenizer = std::move(tokenizers.target);
  return checkpoint;
}

}  // namespace heed::convert
