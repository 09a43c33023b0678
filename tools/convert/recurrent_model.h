#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// A folder of a recurrent encoder-decoder model trained in PyTorch by a program of one's own, such as that of
/// PyTorch's tutorial "NLP From Scratch: Translation with a Sequence to Sequence Network and Attention" (EncoderRNN,
/// AttnDecoderRNN, DecoderRNN): config.json, model.safetensors (or .pth, .pt) with names that begin with encoder. and
/// decoder., or encoder.safetensors and decoder.safetensors without these prefixes, and the tokenizers that config.json
/// names.
///
/// Tensors, by the word that "names" in config.json may have for what they begin with:
///
/// - encoder_embedding: encoder.embedding (.weight [source vocabulary, width])
/// - encoder_rnn: encoder.lstm or encoder.gru (or .rnn), nn.LSTM's or nn.GRU's weight_ih_l0, weight_hh_l0, bias_ih_l0,
///   bias_hh_l0, those of more layers, and _reverse of a second direction
/// - bridge_h, bridge_c: encoder.bridge_h and encoder.bridge_c (or those of the decoder), linear layers, where there
/// are
///   any
/// - decoder_embedding: decoder.embedding (.weight [target vocabulary, width])
/// - query: decoder.attention.Wa, a linear layer of the decoder's state, where there is one
/// - keys: decoder.attention.Ua, a linear layer of the encoder's outputs, where there is one
/// - score: decoder.attention.Va, v of additive attention [1, width]; its bias changes nothing
/// - decoder_rnn: decoder.lstm or decoder.gru (or .rnn)
/// - concat: decoder.concat, Luong's layer with tanh before the output, where there is one
/// - output: decoder.out
///
/// Sizes, layers, directions and the cell are those of the tensors. config.json has
///
/// - model_type: "recurrent-translation"
/// - bridge: how the encoder's last states become the decoder's first: copy, sum, concat, first, linear, linear_tanh,
///   linear_tanh_h (models/recurrent_translation.h); copy if absent and of one direction
/// - attention: "additive", "dot" or "none"; if absent as the tensors say (with v additive, with projections dot)
/// - attention_from: the decoder's hidden state that asks: "previous", as in the tutorial, where the context is joined
/// to
///   the embedding; or "current" (Luong). As the width of decoder_rnn says if absent
/// - scale_attention: true where scores are divided by the root of their width; false if absent
/// - embedding_activation: behind the target's embedding: "none", or "relu" as the tutorial's DecoderRNN has it; must
/// be
///   given without attention
/// - encoder_outputs: of two directions: "concat" (if absent) or "sum"
/// - output_from: what concat or out reads, side by side: some of "hidden", "context", "embedding", in the order in
/// which
///   the program joins them; the first one, two or three of them, as its width says, if absent
/// - max_source_length, max_target_length: most tokens, of a target with the one it begins with; 256 if absent
/// - bos_token_id, eos_token_id: a translation's begin and end; the end also stands behind a source
/// - pad_token_id: any if absent
/// - source_tokenizer, target_tokenizer: files of the folder
/// - cell, embedding, hidden, encoder_hidden, decoder_hidden, encoder_layers, decoder_layers, bidirectional,
///   attention_width, source_vocab_size, target_vocab_size: compared with the tensors, where they are given
/// - names, name, description, licence, num_beams and others: as for an nn.Transformer (torch_transformer.h)
///
/// Throws Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_recurrent_model(const std::filesystem::path& folder, const nlohmann::json& config);

}  // namespace heed::convert
