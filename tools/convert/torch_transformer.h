#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/convert/checkpoint.h"
#include "tools/convert/named_tensors.h"

namespace heed::convert {

/// A folder of an encoder-decoder model made of PyTorch's nn.Transformer, trained by a program of one's own:
/// config.json, model.safetensors and the tokenizers that config.json names. `config` is its config.json:
///
///   model_type                               "transformer-translation"
///   d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward    as nn.Transformer has them
///   activation        "relu" (if absent) or "gelu"
///   norm_first        false if absent
///   layer_norm_eps    1e-5 if absent
///   positions         "sinusoidal" (PyTorch's tutorial: sine, cosine, sine, ...), "learned" or "none"
///   max_positions     most positions of either side
///   scale_embedding   true if the embedding is multiplied by the root of d_model, as in the tutorial
///   bos_token_id, eos_token_id    a translation's begin and end; the end also stands behind a source
///   pad_token_id      any if absent
///   source_tokenizer, target_tokenizer       files of the folder
///   source_vocab_size, target_vocab_size     compared with the embeddings, where they are given
///   names             what tensors are called, where it is not as below
///   name, description, licence    for people; num_beams, length_penalty, max_length and others as in
///                                 generation_config.json
///
/// Tensors, by the word that "names" may have for what they begin with:
///
///   transformer       transformer.encoder.layers.0.self_attn.in_proj_weight and so on; "" for no prefix
///   source_embedding  src_tok_emb.embedding (.weight), or src_embedding, source_embedding, encoder_embedding, ...
///   target_embedding  tgt_tok_emb.embedding, or tgt_embedding, target_embedding, decoder_embedding, ...
///   output            generator (.weight and .bias, each may be absent; the target's embedding serves without a
///                     weight), or fc_out, out, output, ...
///   positions         the table for both sides: positional_encoding.pos_embedding, pos_encoder.pe, ... [N, D],
///                     [N, 1, D] or [1, N, D]; sinusoids are computed without one. source_positions and
///                     target_positions where each side has its own
///
/// Throws Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_torch_transformer(const std::filesystem::path& folder, const nlohmann::json& config);

/// The tensors of one layer of nn.Transformer whose names begin with `from`, as those of the recipe that begin with
/// `to`; `crosses` where it looks at an encoder, too. in_proj_weight [3 D, D] and in_proj_bias [3 D] have rows for
/// queries, keys and values, one below the other. Throws Error where their shape is another.
void give_torch_layer(NamedTensors& tensors, const std::string& from, const std::string& to, bool crosses,
                      std::int64_t width, Checkpoint& checkpoint);

}  // namespace heed::convert
