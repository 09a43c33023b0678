#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// A folder of a translation model as transformers' save_pretrained writes it; translation_config.h lists the
/// architectures. `config` is its config.json. Throws Error naming the file, key or tensor that is missing or not
/// understood.
Checkpoint read_translation(const std::filesystem::path& folder, const nlohmann::json& config);

}  // namespace heed::convert
