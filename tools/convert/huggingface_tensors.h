#pragma once

#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/huggingface_config.h"

namespace heed::convert {

/// Renames, splits and transposes the tensors of a Hugging Face model into what the recipe of its family expects.
/// Known buffers that hold no weights are dropped, and so is a tied lm_head that has the values of the embedding; both
/// are read to tell. Throws Error naming a tensor that is not known.
void map_huggingface_tensors(const HuggingFaceConfig& config, std::vector<SourceTensor> tensors,
                             Checkpoint& checkpoint);

/// Whether a tensor of this name is a buffer that transformers computes itself: causal masks, rotary frequencies.
bool is_huggingface_buffer(const HuggingFaceFamily& family, std::string_view name);

/// Columns [first, first + count) of a matrix [K, M], transposed to [count, K]; the matrix is read when the result is.
/// GPT-2's Conv1D keeps its weights as [in, out].
SourceTensor transposed_columns(const SourceTensor& matrix, std::string name, std::int64_t first, std::int64_t count);

}  // namespace heed::convert
