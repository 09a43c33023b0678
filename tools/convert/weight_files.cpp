#include "tools/convert/weight_files.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/state_file.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxIndexBytes = 64 << 20;

/// Appends the tensors of one file and returns the names of all its entries, buffers too.
std::set<std::string> add_tensors(const State& state, const IsBuffer& is_buffer, std::vector<SourceTensor>& tensors,
                                  std::vector<std::string>& notes) {
  std::set<std::string> names;
  for (const StateEntry& entry : state.entries) {
    names.insert(entry.name);
    if (!is_buffer(entry.name)) tensors.push_back(entry.tensor());
  }
  notes.insert(notes.end(), state.notes.begin(), state.notes.end());
  return names;
}

std::vector<SourceTensor> read_shards(const fs::path& folder, const fs::path& index_path, const IsBuffer& is_buffer,
                                      std::vector<std::string>& notes) {
  const nlohmann::json index = read_json(index_path, kMaxIndexBytes);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    throw Error(fmt::format("{}: has no object 'weight_map'", index_path.string()));
  }
  const char* const extension = index_path.string().ends_with(".bin.index.json") ? ".bin" : ".safetensors";
  std::map<std::string, std::set<std::string>> shards;  // file -> the tensors it should hold
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (!is_plain_name(name) || name.find('/') != std::string::npos || !name.ends_with(extension)) {
      throw Error(fmt::format("{}: tensor {} is said to be in {}, which is not a {} file beside it",
                              index_path.string(), in_quotes(tensor), shown(file), extension));
    }
    shards[name].insert(tensor);
  }
  std::vector<SourceTensor> tensors;
  for (const auto& [file, expected] : shards) {
    const fs::path path = folder / file;
    const std::set<std::string> found = add_tensors(read_state(path), is_buffer, tensors, notes);
    for (const std::string& tensor : expected) {
      if (found.contains(tensor)) continue;
      throw Error(fmt::format("{}: tensor {} is missing, but {} says it is there", path.string(), in_quotes(tensor),
                              index_path.filename().string()));
    }
    for (const std::string& tensor : found) {
      if (expected.contains(tensor)) continue;
      throw Error(fmt::format("{}: tensor '{}' is there, but {} does not say so", path.string(), tensor,
                              index_path.filename().string()));
    }
  }
  return tensors;
}

/// The tensors of a file that is all there is.
std::vector<SourceTensor> read_whole(const fs::path& path, const IsBuffer& is_buffer, std::vector<std::string>& notes) {
  State state = read_state(path);
  take_off_wrappers(state);
  std::vector<SourceTensor> tensors;
  add_tensors(state, is_buffer, tensors, notes);
  return tensors;
}

}  // namespace

std::vector<SourceTensor> read_weight_file_if_any(const fs::path& folder, const std::string& stem,
                                                  const IsBuffer& is_buffer, std::vector<std::string>& notes) {
  for (const char* extension : {".safetensors", ".pth", ".pt"}) {
    const fs::path path = folder / (stem + extension);
    if (file_exists(path)) return read_whole(path, is_buffer, notes);
  }
  return {};
}

std::string format_of_weights(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "encoder.safetensors"}) {
    if (file_exists(folder / name)) return "safetensors";
  }
  return "pytorch";
}

std::vector<SourceTensor> read_weight_files(const fs::path& folder, const IsBuffer& is_buffer,
                                            std::vector<std::string>& notes) {
  for (const char* name : {"model.safetensors", "pytorch_model.bin", "model.pth", "model.pt"}) {
    if (file_exists(folder / name)) return read_whole(folder / name, is_buffer, notes);
    if (const fs::path index = folder / fmt::format("{}.index.json", name); file_exists(index)) {
      return read_shards(folder, index, is_buffer, notes);
    }
  }
  throw Error(
      fmt::format("{}: has no weights: neither model.safetensors nor pytorch_model.bin, and no .index.json of either",
                  folder.string()));
}

}  // namespace heed::convert
