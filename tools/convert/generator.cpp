#include "tools/convert/generator.h"

#include <fmt/format.h>

#include "models/generator.h"
#include "tools/convert/fold.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/state_file.h"

namespace heed::convert {
namespace {

nlohmann::json read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return read_json(path, kMaxConfigBytes);
}

}  // namespace

bool is_generator(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "config.json", ignored)) return false;
  const nlohmann::json config = read_config(folder);
  return config.is_object() && config.value("model_type", nlohmann::json()) == "generator";
}

Checkpoint read_generator(const std::filesystem::path& folder) {
  Checkpoint checkpoint;
  checkpoint.family = "generator";
  checkpoint.parameters = read_config(folder);
  const auto name = checkpoint.parameters.find("name");
  if (name != checkpoint.parameters.end() && name->is_string()) checkpoint.name = name->get<std::string>();
  std::error_code ignored;
  const bool pytorch = !std::filesystem::exists(folder / "model.safetensors", ignored) &&
                       std::filesystem::exists(folder / "model.pth", ignored);
  checkpoint.source = pytorch ? "pytorch" : "safetensors";
  State state = read_state(folder / (pytorch ? "model.pth" : "model.safetensors"));
  take_off_wrappers(state);
  for (const StateEntry& entry : state.entries) {
    // Counts the steps of training.
    if (entry.name.ends_with(".num_batches_tracked")) continue;
    checkpoint.tensors.push_back(entry.tensor());
  }
  checkpoint.notes = state.notes;
  const std::size_t spectral =
      fold_spectral_norms(checkpoint.tensors, models::transposed_layers(checkpoint.parameters));
  if (spectral > 0) checkpoint.notes.push_back(fmt::format("folded the spectral norm of {} weights", spectral));
  return checkpoint;
}

}  // namespace heed::convert
