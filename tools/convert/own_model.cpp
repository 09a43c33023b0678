#include "tools/convert/own_model.h"

#include "tools/convert/recurrent_model.h"
#include "tools/convert/text.h"
#include "tools/convert/torch_transformer.h"
#include "tools/convert/translation_search.h"
#include "tools/convert/translation_tokenizer.h"

namespace heed::convert {

namespace {

std::string own_type(const nlohmann::json& config) {
  const auto type = config.is_object() ? config.find("model_type") : config.end();
  return config.is_object() && type != config.end() && type->is_string() ? type->get<std::string>() : std::string();
}

}  // namespace

bool is_own_translation(const nlohmann::json& config) {
  const std::string type = own_type(config);
  return type == "transformer-translation" || type == "recurrent-translation";
}

Checkpoint read_own_translation(const std::filesystem::path& folder, const nlohmann::json& config) {
  return own_type(config) == "transformer-translation" ? read_torch_transformer(folder, config)
                                                       : read_recurrent_model(folder, config);
}

void finish_own_model(const std::filesystem::path& folder, const nlohmann::json& json, ConfigReader& config,
                      std::int64_t vocabulary, Checkpoint& checkpoint) {
  checkpoint.name = valid_utf8(std::filesystem::absolute(folder).lexically_normal().filename().string());
  checkpoint.metadata = read_translation_search(json, {}, vocabulary, checkpoint.notes);
  checkpoint.end_tokens = checkpoint.metadata["end_tokens"].get<std::vector<std::int32_t>>();
  for (const char* key : {"name", "description", "licence"}) {
    if (const auto text = config.find_text(key)) checkpoint.metadata[key] = *text;
  }
  const auto tokenizer = [&](const char* key, std::int64_t rows) {
    const auto file = config.find_text(key);
    if (!file) return std::string();
    if (!is_plain_name(*file) || file->find('/') != std::string::npos) config.fail(key, "a file of the folder");
    return read_tokenizer_file(folder / *file, rows);
  };
  checkpoint.tokenizer = tokenizer("source_tokenizer", checkpoint.parameters["source_vocabulary"].get<std::int64_t>());
  checkpoint.target_tokenizer = tokenizer("target_tokenizer", vocabulary);
  if (checkpoint.tokenizer.empty() != checkpoint.target_tokenizer.empty()) {
    config.fail(checkpoint.tokenizer.empty() ? "source_tokenizer" : "target_tokenizer",
                "a file of the folder, as for the other side");
  }
  if (checkpoint.tokenizer == checkpoint.target_tokenizer) checkpoint.target_tokenizer.clear();
  if (checkpoint.tokenizer.empty()) {
    checkpoint.notes.push_back("config.json names no tokenizers: the model can only be fed token ids");
  }
  config.refuse_unread();
}

}  // namespace heed::convert
