#pragma once

#include <filesystem>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// Whether a folder's config.json says "model_type": "picture-tokens".
bool is_picture_tokens(const std::filesystem::path& folder);

/// Reads such a folder: config.json and the weights beside it (model.safetensors or model.pth), of a model of pictures
/// as tokens. config.json has the keys of models/picture_tokens.h but for `decoder`, and `tokenizer`, a file of the
/// folder. `decoder` is one of
///
///   {"folder": PATH}   a Hugging Face folder of a text model (huggingface.h), its tokenizer too; the path counts from
///                      this folder, which then holds the codebook and the convolutions alone
///   {"type": "transformer", "width", "layers", "heads", "ffn_width", "activation", "norm_eps",
///    "positions": "learned" or "axial"}   PyTorch's nn.TransformerEncoder with norm_first, in the same file:
///       embedding.weight [V, D]; output.weight [V, D], or the embedding without it; positions.weight [N, D] of learned
///       positions; of axial ones text_positions.weight [P + begin, D], row_positions.weight [R, D] and
///       column_positions.weight [C, D], of which each code has the sum of its row's and its column's;
///       transformer.layers.N. (self_attn.in_proj_weight and _bias, self_attn.out_proj, linear1, linear2, norm1, norm2)
///       and transformer.norm
///
/// Throws Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_picture_tokens(const std::filesystem::path& folder);

}  // namespace heed::convert
