#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"

namespace heed::models {

/// Hyperparameters of decoder-only Transformers: what tells Llama, Qwen, Gemma, GPT-2, GPT-NeoX, Falcon and their like
/// from each other. The JSON form has the same keys and stands in the metadata of the .heed file as "parameters"; those
/// with a value here may be left out.
struct DecoderParameters {
  std::int64_t width = 0;  // of the residual stream, D
  std::int64_t layers = 0;
  std::int64_t heads = 0;       // query heads, H
  std::int64_t kv_heads = 0;    // key and value heads, KVH; divides heads
  std::int64_t head_dim = 0;    // d; heads * head_dim need not be width
  std::int64_t ffn_width = 0;   // F
  std::int64_t vocabulary = 0;  // rows of the embedding, V
  std::int64_t context = 0;     // longest sequence the model was made for; rows of the position table where it has one
  std::int64_t embedding_width = 0;  // of the embedding, where matrices lead from it to D and back, E; 0: D, and none

  std::string norm = "rms_norm";  // or "layer_norm"
  double norm_eps = 0;
  /// Where a layer has norms: "pre", before attention and feed-forward; "post", of what these make, before it is added
  /// to the residual stream; "both"; "parallel", before attention and feed-forward, which read the same stream;
  /// "after", of the sum of the stream and what these make, as Vaswani et al. 2017 have it.
  std::string norm_place = "pre";
  /// Norms of queries and keys before they are turned: "none"; "head", of each head; "all", of all heads together.
  std::string query_norm = "none";

  std::string feed_forward = "gated";  // act(gate(x)) * up(x); "plain": act(up(x))
  std::string activation;              // "silu", "gelu", "gelu_tanh", "relu"; of a plain one "relu2", relu's square

  /// Mixtures of experts: a layer's feed-forward is that of `experts` gated ones of expert_width, of which a router
  /// chooses experts_used for each token, by the largest of its logits. Each is weighed by its softmax among all
  /// logits, among the chosen ones alone, or among itself and what is near behind it (expert_softmax), times
  /// expert_scale.
  std::int64_t experts = 0;  // E; 0: none, and no more of the following
  std::int64_t experts_used = 0;
  std::int64_t expert_width = 0;  // X
  std::string expert_softmax =
      "all";                    // "chosen": weights of a token sum to 1 (times the scale); "near": of SparseMixer
  double expert_threshold = 0;  // with "near", how near, as the op `route` defines
  double expert_scale = 1;
  std::int64_t shared_expert_width = 0;      // S, of one that every token has besides; 0: none
  std::vector<std::int64_t> dense_layers{};  // with a plain feed-forward of ffn_width instead, in ascending order

  /// Rotary positions: the leading part of each head that turns, even, at most head_dim; 0: none.
  std::int64_t rope_dims = 0;
  std::string rope_layout{};   // "interleaved" or "half", as the op `rotary` defines; where rope_dims is not 0
  double rope_base = 0;        // likewise
  double rope_scale = 1;       // factor of what turns
  double local_rope_base = 0;  // of layers with a window, whose angles no factors divide and which no factor scales;
                               // 0: as all others
  std::vector<std::int64_t> unturned_layers{};  // without rotary positions, in ascending order
  bool alibi = false;  // scores fall by a slope a head for each token of distance (Press et al. 2021)

  /// Sliding attention window of each layer in tokens, the token itself included, 0: none. Empty: none at all.
  std::vector<std::int64_t> windows{};
  double clip_qkv = 0;  // queries, keys and values are kept within +-c, before any norm of theirs; 0: as they are
  double attention_scale = 0;    // factor of the scores; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0;  // c tanh(score / c); 0: none
  double logits_softcap = 0;     // likewise of the logits
  double embedding_scale = 1;    // factors of the token's embedding,
  double residual_scale = 1;     // of what attention and feed-forward add to the residual stream,
  double logits_scale = 1;       // and of the logits, before their soft cap

  /// Throws Error naming the key that is missing, unknown, out of range or inconsistent with another.
  static DecoderParameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// The graph "decode": inputs "tokens" [tokens] i32 and "position" [1] i32 (tokens already in the cache), states
/// "cache.k.N" and "cache.v.N" f32 [context, KVH*d], output "logits" [outputs, V] of the last `outputs` tokens.
///
/// Tensors, under the names that GGUF gives them: token_embd.weight [V,D]; for each layer N
///   blk.N.attn_norm.weight [D]            but for norm_place "post"; for "after" of the sum behind attention
///   blk.N.attn_q.weight [H*d,D], attn_k.weight and attn_v.weight [KVH*d,D], attn_output.weight [D,H*d]
///   blk.N.attn_q_norm.weight, attn_k_norm.weight    [d], or [H*d] and [KVH*d], as query_norm says
///   blk.N.post_attention_norm.weight [D]  for "post" and "both"
///   blk.N.ffn_norm.weight [D]             but for "post"; optional for "parallel", which attn_norm serves alone then
///   blk.N.ffn_gate.weight [F,D]           of a gated feed-forward
///   blk.N.ffn_up.weight [F,D], ffn_down.weight [D,F]
///   blk.N.post_ffw_norm.weight [D]        for "post" and "both"
/// In layers with experts instead of the last three matrices
///   blk.N.ffn_gate_inp.weight [E,D]       of the router
///   blk.N.ffn_gate_exps.weight and ffn_up_exps.weight [E,X,D], ffn_down_exps.weight [E,D,X]
///   blk.N.ffn_gate_shexp.weight and ffn_up_shexp.weight [S,D], ffn_down_shexp.weight [D,S], of a shared expert
///   blk.N.ffn_gate_inp_shexp.weight [1,D]           optional: the sigmoid of its product weighs the shared expert
/// and, but for "after", output_norm.weight [D]; with an embedding_width token_embd.weight [V,E] and
/// output.weight [V,E], and token_embd_in.weight [D,E] and token_embd_out.weight [E,D], before the first layer and
/// behind the last norm. Optional: a .bias beside each matrix, but for those of experts, and each norm of layer_norm;
/// position_embd.weight [context,D], added to the embedding; token_embd_norm.weight [D], of the embedding;
/// alibi.weight [context,H], with "alibi", what a key's position adds to the scores instead of slopes;
/// output.weight [V,D] (the embedding serves as output matrix without it); rope_freqs.weight [rope_dims/2], which
/// divides the angles and becomes an attribute. Throws Error for a tensor that is missing, has another shape or is not
/// among these.
Graph decoder_graph(const DecoderParameters& parameters, const TensorTable& tensors, const TensorValues& values = {},
                    const TensorNames& names = {});

}  // namespace heed::models
