#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// Hyperparameters of recurrent encoder-decoder models: Cho et al. 2014 (no attention), Bahdanau et al. 2015 (additive
/// attention from the previous state), Luong et al. 2015 (attention from the current one). The JSON form has the same
/// keys and stands in the metadata of the .heed file as "parameters".
struct RecurrentParameters {
  std::string cell;                    // of both sides: "lstm", "gru"
  std::int64_t source_vocabulary = 0;  // SV
  std::int64_t vocabulary = 0;         // of the target, V
  std::int64_t source_context = 0;     // most source positions
  std::int64_t context = 0;            // most target positions
  std::int64_t encoder_embedding = 0;  // width of the source's embedding, SE
  std::int64_t decoder_embedding = 0;  // width of the target's embedding, E
  std::int64_t encoder_hidden = 0;     // of a direction, SH
  std::int64_t encoder_layers = 0;
  bool bidirectional = false;       // 2 directions, D, in place of 1
  std::string encoder_outputs;      // of both directions: "concat" or "sum"; W wide
  std::int64_t decoder_hidden = 0;  // H
  std::int64_t decoder_layers = 0;
  /// How the last states of the encoder become the first of the decoder: "copy" (one direction), "sum" or "concat" of
  /// the directions, "linear" (bridge_h and bridge_c of the directions side by side), "linear_tanh" (and tanh),
  /// "linear_tanh_h" (and tanh of h alone): layer to layer, or the encoder's last layer to a single one of the decoder.
  /// "first": state N of all the encoder's, its directions counted, to layer N of the decoder.
  std::string bridge;
  std::string attention;             // "none", "additive", "dot" (projections on either side make it Luong's "general")
  std::int64_t attention_width = 0;  // A of queries and keys; 0 without attention
  bool attention_query = false;      // the query is projected from H to A
  bool attention_keys = false;       // the keys are projected from W to A
  bool scale_attention = false;      // scores are divided by sqrt(A)
  std::string attention_from;        // the hidden state of the top layer that asks: "previous", "current"
  std::string embedding_activation;  // behind the target's embedding: "none", "relu"
  std::vector<std::string> output_from;  // side by side: "hidden", "context", "embedding"
  std::int64_t output_hidden = 0;        // of a layer with tanh before the output, as Luong's W_c; 0 for none

  /// Throws Error naming the key that is missing, unknown, out of range or inconsistent with another.
  static RecurrentParameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;

  std::int64_t directions() const { return bidirectional ? 2 : 1; }
  /// Width of the encoder's outputs.
  std::int64_t memory_width() const {
    return encoder_outputs == "sum" ? encoder_hidden : directions() * encoder_hidden;
  }
  bool attends() const { return attention != "none"; }
};

/// The graphs "decode" and "encode".
///
/// encode: inputs source_tokens [batch, source] i32 and source_lengths [batch] i32, output memory [batch, source, W].
/// It stores states memory.values [batch, source, W] and, where keys are projected, memory.keys [batch, source, A], and
/// the decoder's first states in the first rows of hidden.N and, for an LSTM, cell.N [rows, H].
///
/// decode: inputs tokens [tokens] i32, a sequence a row; parents [tokens] i32, the row of the step before that each
/// continues; source_lengths [batch], and position [1], which nothing reads. Output logits [outputs, V] of the last
/// `outputs` rows. The node whose weights can be asked for is "attention".
///
/// Tensors, G gates in ONNX's order (engine/ops/recurrent.cpp): encoder.embd.weight [SV,SE], decoder.embd.weight [V,E];
/// encoder.rnn.N.w [D,G*SH,inputs], .r [D,G*SH,SH] and .bias [D,2*G*SH] (optional) of each layer N, decoder.rnn.N the
/// same with D = 1; bridge_h and bridge_c [H,D*SH] of linear bridges; attention.q [A,H], attention.k [A,W],
/// attention.score.weight [A] of additive attention; concat [output_hidden,..] and output [V,..]: each a .weight with
/// a .bias of its rows that may be absent. Throws Error for a tensor that is missing, has another shape or is not among
/// these.
std::vector<Graph> recurrent_graphs(const RecurrentParameters& parameters, const TensorTable& tensors,
                                    const TensorNames& names = {});

}  // namespace heed::models
