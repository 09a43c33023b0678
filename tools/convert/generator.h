#pragma once

#include <filesystem>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// Whether a folder's config.json describes a picture generator layer by layer ("model_type": "generator").
bool is_generator(const std::filesystem::path& folder);

/// Reads config.json (models/generator.h) and model.safetensors of such a folder. Throws Error naming what is missing
/// or damaged.
Checkpoint read_generator(const std::filesystem::path& folder);

}  // namespace heed::convert
