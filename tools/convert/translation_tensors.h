#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/name_table.h"
#include "tools/convert/translation_config.h"

namespace heed::convert {

/// Renames the tensors of a Hugging Face translation model into what models/transformer.h expects; makes the table of
/// positions where the model computes it. Throws Error naming a tensor that is not known.
void map_translation_tensors(const TranslationConfig& config, std::vector<SourceTensor> tensors,
                             Checkpoint& checkpoint);

/// Whether a tensor of this name is one that transformers computes itself, or ignores.
bool is_translation_buffer(TranslationFamily family, std::string_view name);

/// How the sinusoids of a table of positions are laid out.
enum class SinusoidLayout : std::uint8_t {
  Interleaved,  // sin, cos, sin, cos, ... (Vaswani et al. 2017; PyTorch's tutorials)
  Halves,       // all sines, all cosines (Marian)
  HalvesM2M,    // the same with wavelengths that end at exactly 10000 (tensor2tensor, fairseq, M2M-100)
};

/// The tensor `name` [rows, width] of sinusoids for positions offset, offset + 1, ... Throws Error where it is too
/// large.
SourceTensor sinusoidal_positions(std::string name, SinusoidLayout layout, std::int64_t rows, std::int64_t width,
                                  std::int64_t offset);

/// Which of the embeddings a model has are one and the same.
struct SharedEmbeddings {
  bool shared = false;  // source and target: the file may hold it several times, with the same values
  bool tied = false;    // the output matrix and the target's embedding, where the file does not say otherwise
};

/// Leaves of token_embd.weight, source_embd.weight, target_embd.weight and output.weight those that differ: a shared
/// one becomes token_embd.weight, and an output matrix that repeats the target's embedding is dropped. Reads those that
/// may repeat each other. Throws Error where one is missing, or has other values than config.json implies.
void resolve_embeddings(const SharedEmbeddings& embeddings, Checkpoint& checkpoint);

}  // namespace heed::convert
