#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/dtype.h"
#include "models/recipe.h"
#include "tools/convert/checkpoint.h"
#include "tools/convert/onnx_fixed.h"

namespace heed::convert {

struct ConvertOptions {
  std::filesystem::path input;      // a GGUF file, a llama2.c .bin, or a Hugging Face folder: told apart by content
  std::filesystem::path output;     // the .heed file; replaced when it exists, unless it is read
  std::filesystem::path tokenizer;  // llama2.c only: its tokenizer.bin; empty otherwise
  /// Element type of matrices, one of matrix_types(); without it they keep their own. Norms and biases are always
  /// stored as f32, and so are matrices whose rows do not divide into blocks when a quantised type is asked for. Rows
  /// that blocks of 32 divide, but not those of 256, are stored as q5_0 instead of q4_k, and q8_0 instead of q6_k.
  std::optional<DType> type;
  /// Called from the calling thread while tensors are written, with bytes of tensors done and in all.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  /// ONNX only: a JSON object whose keys become metadata, and whose key `graphs` names ONNX files beside the input, one
  /// for each graph of the .heed file. Empty for none.
  std::filesystem::path description = {};
  FixedValues fixed = {};  // ONNX only: inputs and dimensions that become constants
  /// The longest text in tokens, of models whose rotary positions depend on it (rope_scaling.h); 0: none is asked for.
  std::int64_t context = 0;
};

/// What was converted, for people.
struct ConvertSummary {
  struct Tally {
    std::size_t tensors = 0;
    std::uint64_t bytes = 0;
  };
  std::string source;                                    // "gguf", "llama2.c", "safetensors"
  std::string family;                                    // "llama", "gpt2", "generator": the architecture
  std::string name;                                      // the model's own; may be empty
  nlohmann::json parameters = nlohmann::json::object();  // as the headers of models/ describe them
  bool has_tokenizer = false;
  std::uint64_t elements = 0;      // of all tensors: the number of parameters
  std::map<DType, Tally> types;    // what the file holds
  std::uint64_t file_bytes = 0;    // of the .heed file
  std::vector<std::string> notes;  // what was assumed, left out or kept in another type; a line each
};

/// Reads a checkpoint and writes it as a .heed file, one tensor in memory at a time. On failure `output` is left as it
/// was. Throws Error naming what could not be read, is not understood, or does not fit: a file, key, tensor or token.
ConvertSummary convert_checkpoint(const ConvertOptions& options);

/// The parts of the above, for tests and for tools that make checkpoints of their own.
/// Recognises the input and reads everything but the bytes of tensors (of a tied output matrix those too).
Checkpoint read_checkpoint(const std::filesystem::path& input, const std::filesystem::path& tokenizer,
                           const FixedValues& fixed = {}, std::int64_t context = 0);
/// The graph, metadata and table of tensors (in the order in which the graph uses them) of a .heed file. Reads the
/// tensors that become attributes, and adds to the checkpoint's notes.
ModelHeader make_header(Checkpoint& checkpoint, std::optional<DType> type);
/// Hands the tensor to `sink` in pieces, as `type`. Throws Error naming it when an element is not finite, or no longer
/// is in `type`.
void convert_tensor(const SourceTensor& tensor, DType type,
                    const std::function<void(std::span<const std::byte>)>& sink);
/// All elements of the tensor. Throws Error naming it when one is not finite.
std::vector<float> tensor_values(const SourceTensor& tensor);
/// Whether two tensors have one shape and the same values, in whatever types they are stored. Reads both.
bool same_values(const SourceTensor& a, const SourceTensor& b);

}  // namespace heed::convert
