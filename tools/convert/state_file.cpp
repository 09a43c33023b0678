#include "tools/convert/state_file.h"

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

State read_state(const std::filesystem::path& path) { return read_state(SourceFile::open(path)); }

}  // namespace heed::convert
