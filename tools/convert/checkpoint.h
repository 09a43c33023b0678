#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "graph/graph.h"

namespace heed::convert {

/// A tensor as a reader found it. `read` delivers its bytes (dense, in `dtype`, heed's layout for quantised types); it
/// keeps what it reads from alive, may be called more than once, and throws Error when that cannot be read.
struct SourceTensor {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  std::function<std::vector<std::byte>()> read;
  bool any_number = false;  // infinities and NaN are no damage (masks of ONNX models)
  std::string in_file{};    // what the file calls it; empty where that is `name`
  bool stays_f32 = false;   // computed from what was rounded once already

  /// For messages.
  const std::string& shown_name() const { return in_file.empty() ? name : in_file; }
};

/// A tensor of values that a reader computed.
SourceTensor make_f32_tensor(std::string name, Shape shape, std::span<const float> values);
/// A tensor of f32 values that are computed from all those of another when it is read.
SourceTensor make_computed_tensor(std::string name, Shape shape, SourceTensor from,
                                  std::function<std::vector<float>(std::vector<float> values)> compute);
/// The elements times `factors`, each of which is for as many that follow one another; f32, whatever they were.
SourceTensor make_scaled_tensor(std::string name, SourceTensor from, std::vector<double> factors);
/// Rows [first, first + count) of a tensor, along its first dimension; they are cut when they are read.
SourceTensor rows_of(const SourceTensor& from, std::string name, std::int64_t first, std::int64_t count);

/// What every reader delivers, whatever the format: hyperparameters under heed's own names
/// (models/decoder.h, transformer.h, recurrent_translation.h and wavenet.h list those of their family), tensors under
/// the names
/// that the recipe of `family` expects, and the tokenizer. Readers refuse, by name, what they do not understand.
struct Checkpoint {
  std::string family;        // a recipe of models/: "decoder", "transformer", "recurrent", "wavenet"
  std::string architecture;  // what of its kind, "llama" or "gpt2", for the metadata; empty where the family says it
  std::string source;        // "gguf", "llama2.c", "safetensors": for the metadata
  std::string name;          // the model's own, for the metadata; may be empty
  nlohmann::json parameters = nlohmann::json::object();
  std::vector<SourceTensor> tensors;
  /// What the file calls, or would call, a tensor of the recipe; empty where it has the recipe's names.
  std::function<std::string(const std::string& name)> name_in_file;
  std::vector<Graph> graphs;  // of formats that bring their own, the main one first; then there is no recipe
  nlohmann::json metadata = nlohmann::json::object();  // more of it, as the user described it
  std::string tokenizer;                               // tokenizer.json in heed's own form; empty when there is none
  std::string target_tokenizer;          // of what a model writes, where it reads another vocabulary; else empty
  std::vector<std::int32_t> end_tokens;  // ids at which generation ends, also where there is no tokenizer
  std::vector<std::string> notes;        // for the user: what was assumed or left out, a line each
};

}  // namespace heed::convert
