#pragma once

#include <filesystem>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// A folder as transformers' save_pretrained writes it: config.json (huggingface_config.h lists the architectures),
/// generation_config.json, model.safetensors or pytorch_model.bin, or the index of either with its shards, and
/// tokenizer.json, tokenizer.model, or vocab.json with merges.txt. Without a tokenizer the checkpoint has none and a
/// note says so. `context`: the longest text that the user asks for (rope_scaling.h), 0: none is asked for. Throws
/// Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_huggingface(const std::filesystem::path& folder, std::int64_t context = 0);

/// Whether `path` is a folder with a config.json.
bool is_huggingface(const std::filesystem::path& path);

}  // namespace heed::convert
