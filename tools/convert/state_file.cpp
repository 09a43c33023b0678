#include "tools/convert/state_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/convert/safetensors.h"

namespace heed::convert {

State read_state(const std::shared_ptr<const SourceFile>& file) {
  if (is_pytorch(*file)) return read_pytorch(file);
  State state;
  for (const SafetensorsEntry& entry : read_safetensors(*file)) {
    state.entries.push_back(
        {entry.name, entry.type, entry.shape, [file, entry] { return safetensors_tensor(file, entry); }});
  }
  return state;
}

void take_off_wrappers(State& state) {
  constexpr std::pair<std::string_view, std::string_view> kWrappers[] = {{"module.", "DataParallel"},
                                                                         {"_orig_mod.", "torch.compile"}};
  const auto wraps_all = [&](const auto& wrapper) {
    return !state.entries.empty() && std::ranges::all_of(state.entries, [&](const StateEntry& entry) {
      return entry.name.starts_with(wrapper.first);
    });
  };
  // Either may be around the other.
  for (const auto* found = std::ranges::find_if(kWrappers, wraps_all); found != std::end(kWrappers);
       found = std::ranges::find_if(kWrappers, wraps_all)) {
    const auto& [prefix, wrapper] = *found;
    for (StateEntry& entry : state.entries) {
      entry.name.erase(0, prefix.size());
      entry.tensor = [read = std::move(entry.tensor), name = entry.name] {
        SourceTensor tensor = read();
        tensor.name = name;
        return tensor;
      };
    }
    state.notes.push_back(
        fmt::format("all names begin with '{}', as {} writes them; it is taken off", prefix, wrapper));
  }
}

State read_state(const std::filesystem::path& path) { return read_state(SourceFile::open(path)); }

}  // namespace heed::convert
