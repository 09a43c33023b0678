#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// Hyperparameters of the GPT-2 family: layer norm before attention and feed-forward, learned positions, biases
/// everywhere. The JSON form has the same keys and stands in the metadata of the .heed file as "parameters".
struct Gpt2Parameters {
  std::int64_t width = 0;  // of the residual stream, D
  std::int64_t layers = 0;
  std::int64_t heads = 0;       // H; divides width
  std::int64_t ffn_width = 0;   // F
  std::int64_t vocabulary = 0;  // rows of the embedding, V
  std::int64_t context = 0;     // rows of the position table: no longer sequence is possible
  double norm_eps = 0;
  std::string activation;       // of the feed-forward: "gelu_tanh", "gelu", "silu", "relu"
  bool scale_attention = true;  // scores are divided by sqrt(D / H)

  /// Throws Error naming the key that is missing, unknown, out of range or inconsistent with another.
  static Gpt2Parameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// The graph "decode": inputs "tokens" [tokens] i32 and "position" [1] i32 (tokens already in the cache), states
/// "cache.k.N" and "cache.v.N" f32 [context, D], output "logits" [outputs, V] of the last `outputs` tokens.
///
/// Tensors: token_embd.weight [V,D], position_embd.weight [context,D]; for each layer N, each with a .bias of its rows:
/// blk.N.attn_norm.weight [D], attn_q.weight, attn_k.weight, attn_v.weight and attn_output.weight [D,D],
/// ffn_norm.weight [D], ffn_up.weight [F,D], ffn_down.weight [D,F]; output_norm.weight and .bias [D]. Optional:
/// output.weight [V,D] (the embedding serves as output matrix without it). Throws Error for a tensor that is missing,
/// has another shape or is not among these.
Graph gpt2_decode_graph(const Gpt2Parameters& parameters, const TensorTable& tensors, const TensorNames& names = {});

}  // namespace heed::models
