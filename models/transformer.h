#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// The encoder or the decoder of a Transformer.
struct TransformerStack {
  std::int64_t layers = 0;
  std::int64_t heads = 0;      // H
  std::int64_t head_dim = 0;   // d; H * d need not be the width
  std::int64_t ffn_width = 0;  // F
  bool final_norm = false;     // behind the last layer
};

/// Hyperparameters of encoder-decoder Transformers (Vaswani et al. 2017; Marian, M2M-100, BART, T5, nn.Transformer).
/// The JSON form has the same keys and stands in the metadata of the .heed file as "parameters".
struct TransformerParameters {
  std::int64_t width = 0;  // of the residual stream, D
  TransformerStack encoder;
  TransformerStack decoder;
  std::int64_t source_vocabulary = 0;  // SV
  std::int64_t vocabulary = 0;         // of the target, V
  std::int64_t source_context = 0;     // most source positions, SP
  std::int64_t context = 0;            // most target positions, P
  std::string norm;                    // "layer" or "rms"
  double norm_eps = 0;
  bool norm_first = false;      // norms before attention and feed-forward; else behind the sums
  bool embedding_norm = false;  // a norm behind the embedding, of both sides
  bool biases = false;          // of all matrices but the output's, and of layer norms
  std::string positions;  // "none", "table", "relative" (one table of biases a side), "relative_layers" (one a layer)
  std::int64_t relative_buckets = 0;   // of relative positions; 0 for others
  std::int64_t relative_distance = 0;  // from which on all distances share a bucket; 0 for others
  double embedding_scale = 1;
  bool scale_attention = true;  // scores are divided by sqrt(d)
  std::string activation;       // of the feed-forward: "relu", "gelu", "gelu_tanh", "silu"
  bool gated = false;           // feed-forward: activation(gate x) * up x, then down

  /// Throws Error naming the key that is missing, unknown, out of range or inconsistent with another.
  static TransformerParameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// The graphs "decode" and "encode".
///
/// encode: inputs source_tokens [batch, source] i32 and source_lengths [batch] i32, output memory [batch, source, D]
/// (rows behind a length hold nothing of use). It stores the keys and values of cross-attention, computed once for a
/// sentence, in the states cross.k.N and cross.v.N f32 [batch, source, H*d] of each decoder layer N.
///
/// decode: inputs tokens [tokens] i32, position [1] i32 (tokens already in the cache) and source_lengths; states
/// cache.k.N and cache.v.N f32 [context, H*d], and cross.*; output logits [outputs, V] of the last `outputs` tokens.
/// Nodes layerN.attention and layerN.cross_attention are those whose weights can be asked for.
///
/// Tensors: token_embd.weight [V,D] where both sides share it, else source_embd.weight [SV,D] and target_embd.weight
/// [V,D]; output.weight [V,D] (the target's embedding without it) and output.bias [V], optional. Positions "table":
/// position_embd.weight [max(SP,P),D], or source_position.weight [SP,D] and target_position.weight [P,D]; "relative":
/// encoder.relative.weight and decoder.relative.weight [buckets,H], "relative_layers": SIDE.blk.N.relative.weight.
/// SIDE.embd_norm, SIDE.output_norm [D] as the hyperparameters say. For each layer N of SIDE (encoder, decoder)
/// SIDE.blk.N.attn_norm [D], attn_q, attn_k, attn_v [H*d,D], attn_output [D,H*d], ffn_norm [D], ffn_gate where gated,
/// ffn_up [F,D], ffn_down [D,F]; of the decoder also cross_norm, cross_q, cross_k, cross_v, cross_output, as those of
/// attn. Each is .weight, with a .bias of its rows where there are biases. Throws Error for a tensor that is missing,
/// has another shape or is not among these.
std::vector<Graph> transformer_graphs(const TransformerParameters& parameters, const TensorTable& tensors,
                                      const TensorNames& names = {});

}  // namespace heed::models
