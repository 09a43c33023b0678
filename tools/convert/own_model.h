#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/convert/checkpoint.h"
#include "tools/convert/config_reader.h"

namespace heed::convert {

/// Whether config.json says "transformer-translation" (torch_transformer.h) or "recurrent-translation"
/// (recurrent_model.h) as its model_type.
bool is_own_translation(const nlohmann::json& config);

/// Reads such a folder. Throws Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_own_translation(const std::filesystem::path& folder, const nlohmann::json& config);

/// What both kinds have in common: how translations begin and end and are searched, tokenizers, texts for people.
/// Throws Error for a key that `config`, which has read the others, does not know.
void finish_own_model(const std::filesystem::path& folder, const nlohmann::json& json, ConfigReader& config,
                      std::int64_t vocabulary, Checkpoint& checkpoint);

}  // namespace heed::convert
