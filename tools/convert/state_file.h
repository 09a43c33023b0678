#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// One tensor of a state, as safetensors and PyTorch's own files hold them.
struct StateEntry {
  std::string name;
  std::string type;  // as safetensors calls it: "F32", "BF16", "I64", ...
  Shape shape;
  /// The entry as a tensor that reads from the file, dense. Throws Error naming it when its type is not F32, F16, BF16
  /// or F64, which is rounded to f32.
  std::function<SourceTensor()> tensor;
};

/// Tensors by name, whatever file they come from, so that recipes need not care.
struct State {
  std::vector<StateEntry> entries;
  std::vector<std::string> notes;  // for the user: what of the file was passed over, and what is rounded
};

/// A safetensors file, or one of torch.save: `.pt`, `.pth`, `pytorch_model.bin`, in the zip format or the one before
/// PyTorch 1.6. Of the latter no code is ever run: what is not a tensor, dict, list, number, text or None is refused by
/// its name. Dicts in dicts give names joined by "."; of a checkpoint that holds `model_state_dict`, `state_dict` or
/// `model` beside other things, that is taken alone. Throws Error for what is neither, or damaged.
State read_state(const std::shared_ptr<const SourceFile>& file);
/// The same for a path.
State read_state(const std::filesystem::path& path);

/// Takes off what PyTorch's wrappers put before every name: `module.` of DataParallel, `_orig_mod.` of torch.compile;
/// with a note.
void take_off_wrappers(State& state);

/// Whether the file begins as torch.save's do: as a zip archive or a pickle.
bool is_pytorch(const SourceFile& file);
/// A file of torch.save.
State read_pytorch(const std::shared_ptr<const SourceFile>& file);

}  // namespace heed::convert
