#include "tests/unit/devices/llama.h"

#include <fmt/format.h>

#include <string>

#include "models/decoder.h"

namespace heed::testing {

Graph llama(std::int64_t width, std::int64_t layers, std::int64_t heads, std::int64_t kv_heads, std::int64_t ffn,
            std::int64_t vocabulary, std::int64_t context, DType type, std::int64_t experts,
            std::int64_t experts_used) {
  models::DecoderParameters p;
  p.width = width;
  p.layers = layers;
  p.heads = heads;
  p.kv_heads = kv_heads;
  p.head_dim = width / heads;
  p.ffn_width = ffn;
  p.vocabulary = vocabulary;
  p.context = context;
  p.norm_eps = 1e-5;
  p.rope_base = 10000;
  p.rope_layout = "interleaved";
  p.rope_dims = p.head_dim;
  p.activation = "silu";
  p.experts = experts;
  p.experts_used = experts_used;
  p.expert_width = experts > 0 ? ffn : 0;
  const std::int64_t q = heads * p.head_dim, kv = kv_heads * p.head_dim;
  models::TensorTable tensors;
  const auto matrix = [&](const std::string& name, std::int64_t rows, std::int64_t columns) {
    tensors[name] = {type, {rows, columns}};
  };
  const auto norm = [&](const std::string& name) { tensors[name] = {DType::F32, {width}}; };
  matrix("token_embd.weight", vocabulary, width);
  matrix("output.weight", vocabulary, width);
  norm("output_norm.weight");
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = fmt::format("blk.{}.", i);
    norm(layer + "attn_norm.weight");
    matrix(layer + "attn_q.weight", q, width);
    matrix(layer + "attn_k.weight", kv, width);
    matrix(layer + "attn_v.weight", kv, width);
    matrix(layer + "attn_output.weight", width, q);
    norm(layer + "ffn_norm.weight");
    if (experts > 0) {
      tensors[layer + "ffn_gate_inp.weight"] = {DType::F32, {experts, width}};
      tensors[layer + "ffn_gate_exps.weight"] = tensors[layer + "ffn_up_exps.weight"] = {type, {experts, ffn, width}};
      tensors[layer + "ffn_down_exps.weight"] = {type, {experts, width, ffn}};
      continue;
    }
    matrix(layer + "ffn_gate.weight", ffn, width);
    matrix(layer + "ffn_up.weight", ffn, width);
    matrix(layer + "ffn_down.weight", width, ffn);
  }
  return models::decoder_graph(p, tensors);
}

}  // namespace heed::testing
