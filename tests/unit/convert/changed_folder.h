#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/unit/convert/sample_files.h"
#include "tools/convert/convert.h"
#include "tools/convert/safetensors.h"
#include "tools/convert/source_file.h"

namespace heed::convert_test {

/// A folder of tests/golden/translation, or any other, read into memory to be changed and converted.
class ChangedFolder {
 public:
  explicit ChangedFolder(const std::string& name)
      : ChangedFolder(golden_folder().parent_path() / "translation" / name) {}
  explicit ChangedFolder(const char* name) : ChangedFolder(std::string(name)) {}
  explicit ChangedFolder(const std::filesystem::path& from) {
    config = nlohmann::json::parse(read_whole(from / "config.json"));
    if (std::filesystem::exists(from / "generation_config.json")) {
      generation = nlohmann::json::parse(read_whole(from / "generation_config.json"));
    }
    if (!std::filesystem::exists(from / "model.safetensors")) return;
    const auto file = convert::SourceFile::open(from / "model.safetensors");
    for (const convert::SafetensorsEntry& entry : convert::read_safetensors(*file)) {
      items.push_back({entry.name, entry.type, entry.shape, file->read_text(entry.offset, entry.size)});
    }
  }

  SafetensorsItem& item(const std::string& name) {
    for (SafetensorsItem& found : items) {
      if (found.name == name) return found;
    }
    FAIL("no tensor " << name);
    return items.front();
  }
  void remove(const std::string& name) {
    std::erase_if(items, [&](const SafetensorsItem& found) { return found.name == name; });
  }
  void rename(const std::string& name, const std::string& to) { item(name).name = to; }

  /// What reading it gives; the header of the .heed file is made too.
  convert::Checkpoint read() {
    folder.write("config.json", config.dump());
    if (!generation.is_null()) folder.write("generation_config.json", generation.dump());
    if (!items.empty()) folder.write("model.safetensors", safetensors(items));
    convert::Checkpoint checkpoint = convert::read_checkpoint(folder.path(), {});
    header = convert::make_header(checkpoint, {});
    return checkpoint;
  }
  /// The message of the error that reading it gives; "" for none.
  std::string complaint() {
    return error_of([&] { read(); });
  }

  nlohmann::json config, generation;
  std::vector<SafetensorsItem> items;
  TempFolder folder;  // for more files
  ModelHeader header;
};

/// The values of a tensor of the checkpoint, decoded.
inline std::vector<float> values_in(const convert::Checkpoint& checkpoint, const std::string& name) {
  return convert::tensor_values(tensor(checkpoint, name));
}
inline bool has_tensor(const convert::Checkpoint& checkpoint, const std::string& name) {
  for (const convert::SourceTensor& found : checkpoint.tensors) {
    if (found.name == name) return true;
  }
  return false;
}

}  // namespace heed::convert_test
