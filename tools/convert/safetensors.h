#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// One entry of a safetensors file. Its type is kept as text: files hold buffers of types that heed does not read, and
/// whoever knows the model decides which of them matter.
struct SafetensorsEntry {
  std::string name;
  std::string type;  // "F32", "BF16", "BOOL", ...
  Shape shape;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;    // in bytes
};

/// The table of a safetensors file, in the order of the data. Throws Error unless the entries fill the file exactly,
/// without holes and overlaps, as https://huggingface.co/docs/safetensors demands.
std::vector<SafetensorsEntry> read_safetensors(const SourceFile& file);

/// The entry as a tensor that reads from `file`. Throws Error naming it when its type is not F32, F16 or BF16.
SourceTensor safetensors_tensor(const std::shared_ptr<const SourceFile>& file, const SafetensorsEntry& entry);

}  // namespace heed::convert
