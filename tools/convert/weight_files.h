#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// Whether a tensor of this name holds nothing that heed needs, such as a mask; it is left out, whatever its type.
using IsBuffer = std::function<bool(std::string_view name)>;

/// The tensors of a folder, under the names that the files give them: model.safetensors, pytorch_model.bin, one of them
/// in shards with an .index.json, or model.pth or model.pt. What is to be said of the files is added to `notes`. Throws
/// Error naming the file or tensor that is missing or damaged.
std::vector<SourceTensor> read_weight_files(const std::filesystem::path& folder, const IsBuffer& is_buffer,
                                            std::vector<std::string>& notes);

/// What the weights of a folder are written as: safetensors or pytorch.
std::string format_of_weights(const std::filesystem::path& folder);

/// The tensors of STEM.safetensors, STEM.pth or STEM.pt in the folder; nothing when there is no such file.
std::vector<SourceTensor> read_weight_file_if_any(const std::filesystem::path& folder, const std::string& stem,
                                                  const IsBuffer& is_buffer, std::vector<std::string>& notes);

}  // namespace heed::convert
