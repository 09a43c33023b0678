#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// Hyperparameters of the Llama family (Llama 1 to 3, Mistral, TinyLlama, llama2.c's stories): RMS norm, rotary
/// positions, grouped-query attention, gated feed-forward. The JSON form has the same keys and stands in the metadata
/// of the .heed file as "parameters".
struct LlamaParameters {
  std::int64_t width = 0;  // of the residual stream, D
  std::int64_t layers = 0;
  std::int64_t heads = 0;       // query heads, H
  std::int64_t kv_heads = 0;    // key and value heads, KVH; divides heads
  std::int64_t head_dim = 0;    // d; heads * head_dim need not be width
  std::int64_t ffn_width = 0;   // F
  std::int64_t vocabulary = 0;  // rows of the embedding, V
  std::int64_t context = 0;     // longest sequence the model was made for
  double norm_eps = 0;
  double rope_base = 0;
  std::string rope_layout;     // "interleaved" or "half", as the op `rotary` defines
  std::int64_t rope_dims = 0;  // rotated leading part of each head; even, at most head_dim
  std::string activation;      // of the gate: "silu", "gelu", "gelu_tanh", "relu"
  std::int64_t window = 0;     // sliding attention window in tokens; 0: none

  /// Throws Error naming the key that is missing, unknown, out of range or inconsistent with another.
  static LlamaParameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// The graph "decode": inputs "tokens" [tokens] i32 and "position" [1] i32 (tokens already in the cache), states
/// "cache.k.N" and "cache.v.N" f32 [context, KVH*d], output "logits" [outputs, V] of the last `outputs` tokens.
///
/// Tensors: token_embd.weight [V,D]; for each layer N blk.N.attn_norm.weight [D], attn_q.weight [H*d,D], attn_k.weight
/// and attn_v.weight [KVH*d,D], attn_output.weight [D,H*d], ffn_norm.weight [D], ffn_gate.weight and ffn_up.weight
/// [F,D], ffn_down.weight [D,F]; output_norm.weight [D]. Optional: a .bias beside each matrix of a layer; output.weight
/// [V,D] (the embedding serves as output matrix without it); rope_freqs.weight [rope_dims/2], which divides the angles
/// and becomes an attribute. Throws Error for a tensor that is missing, has another shape or is not among these.
Graph llama_decode_graph(const LlamaParameters& parameters, const TensorTable& tensors, const TensorValues& values = {},
                         const TensorNames& names = {});

}  // namespace heed::models
