#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// What the names of the tensors that make pictures begin with in the table; all others are the decoder's.
inline constexpr const char* kPictureTensors = "picture.";

/// The graphs of a model of pictures as tokens, and what the file's metadata say of them.
struct PictureTokens {
  std::vector<Graph> graphs;
  nlohmann::json metadata;
};

/// Discrete-token image models, DALL-E's shape (Ramesh et al. 2021): a decoder-only Transformer continues a caption by
/// the codes of a picture, row by row, all in one vocabulary; a codebook and convolutions make a picture of the codes
/// (VQ-VAE, VQ-GAN).
///
///   text      {"places": P, "pad": id, "begin": [ids]}: a caption is filled up with pads to P tokens, and `begin`
///             stands behind it, before the first code; a picture without a caption has P pads
///   codes     {"first": F, "count": K, "rows": R, "columns": C}: token F + c stands for code c
///   decoder   as models/decoder.h says
///   pixels    {"codebook": width D, "layers": as models/generator.h says; "tensor": of the codebook [K, D], default
///             codebook.weight; "prefix": default pixels}: from [D, R, C] to pictures of 1 or 3 channels
///   encoder   {"image": [channels, height, width], "layers", "prefix": default encoder}: from pictures to [D, R, C];
///   or
///             absent
///   image     {"channels": "gray" or "rgb", "range": [black, full]}
///   defaults  {"guidance", "temperature", "top_k", "top_p"}; each may be absent: 1, 1, 0, 1
///
/// The graph `tokens` is the decoder's own (inputs tokens and position, output logits over the whole vocabulary);
/// `pixels` has input codes [batch, R * C] i32 and output image [batch, channels, height, width]; `codes` the other way
/// round, with codes as i64. Throws Error naming the key, layer or tensor that is missing, unknown or does not fit.
PictureTokens picture_tokens(const nlohmann::json& parameters, const TensorTable& tensors, const TensorValues& values,
                             const TensorNames& names);

}  // namespace heed::models
