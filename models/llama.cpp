#include "models/llama.h"

#include <fmt/format.h>

#include "heed/error.h"

namespace heed::models {

LlamaParameters LlamaParameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("llama", json);
  LlamaParameters p;
  p.width = reader.size("width");
  p.layers = reader.integer("layers", 1, 10000);
  p.heads = reader.size("heads");
  p.kv_heads = reader.size("kv_heads");
  p.head_dim = reader.size("head_dim");
  p.ffn_width = reader.size("ffn_width");
  p.vocabulary = reader.size("vocabulary");
  p.context = reader.size("context");
  p.norm_eps = reader.positive("norm_eps");
  p.rope_base = reader.positive("rope_base");
  p.rope_layout = reader.choice("rope_layout", {"interleaved", "half"});
  p.rope_dims = reader.size("rope_dims");
  p.activation = reader.choice("activation", {"silu", "gelu", "gelu_tanh", "relu"});
  p.window = reader.integer("window", 0, (std::int64_t{1} << 31) - 1);
  reader.refuse_unread();
  if (p.heads % p.kv_heads != 0) {
    reader.fail(fmt::format("{} heads cannot share {} key/value heads evenly", p.heads, p.kv_heads));
  }
  if (p.rope_dims % 2 != 0 || p.rope_dims > p.head_dim) {
    reader.fail(fmt::format("rope_dims is {}; expected an even number up to head_dim, {}", p.rope_dims, p.head_dim));
  }
  return p;
}

nlohmann::json LlamaParameters::to_json() const {
  return {{"width", width},
          {"layers", layers},
          {"heads", heads},
          {"kv_heads", kv_heads},
          {"head_dim", head_dim},
          {"ffn_width", ffn_width},
          {"vocabulary", vocabulary},
          {"context", context},
          {"norm_eps", norm_eps},
          {"rope_base", rope_base},
          {"rope_layout", rope_layout},
          {"rope_dims", rope_dims},
          {"activation", activation},
          {"window", window}};
}

Graph llama_decode_graph(const LlamaParameters& p, const TensorTable& tensors, const TensorValues& values,
                         const TensorNames& names) {
  GraphBuilder g("decode");
  WeightSource weights(g, tensors, values, names);
  const std::int64_t q_width = p.heads * p.head_dim;
  const std::int64_t kv_width = p.kv_heads * p.head_dim;

  const ValueId tokens = g.input("tokens", DType::I32, {"tokens"});
  const ValueId position = g.input("position", DType::I32, {1});
  const ValueId embedding = weights.required("token_embd.weight", {p.vocabulary, p.width});
  const std::vector<double> freq_factors = weights.values("rope_freqs.weight", {p.rope_dims / 2});
  for (std::size_t i = 0; i < freq_factors.size(); ++i) {
    if (freq_factors[i] > 0) continue;
    throw Error(fmt::format("tensor 'rope_freqs.weight': element {} is {}; it divides an angle and must be above zero",
                            i, freq_factors[i]));
  }

  const Attributes norm = {{"eps", p.norm_eps}};
  const auto rotary = [&](ValueId x, std::int64_t heads, const std::string& name) {
    Attributes attributes = {{"heads", heads}, {"layout", p.rope_layout}, {"base", p.rope_base}, {"dims", p.rope_dims}};
    if (!freq_factors.empty()) attributes.set("freq_factors", freq_factors);
    return g.add("rotary", name, {x, position}, std::move(attributes));
  };

  ValueId x = g.add("embedding", "embedding", {tokens, embedding});  // (tokens, width)
  for (std::int64_t layer = 0; layer < p.layers; ++layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    const auto named = [&](const char* what) { return fmt::format("layer{}.{}", layer, what); };
    const auto linear = [&](const char* name, const char* tensor, ValueId in, std::int64_t rows, std::int64_t columns,
                            ValueId residual = kNoValue) {
      const ValueId weight = weights.required(block + tensor + ".weight", {rows, columns});
      const ValueId bias = weights.optional(block + tensor + ".bias", {rows});
      std::vector<ValueId> inputs = {in, weight};
      if (bias != kNoValue || residual != kNoValue) inputs.push_back(bias);
      if (residual != kNoValue) inputs.push_back(residual);
      return g.add("linear", named(name), std::move(inputs));
    };

    const ValueId attention_norm = weights.required(block + "attn_norm.weight", {p.width});
    const ValueId h = g.add("rms_norm", named("attention_norm"), {x, attention_norm}, norm);
    ValueId q = linear("q", "attn_q", h, q_width, p.width);   // (tokens, heads * head_dim)
    ValueId k = linear("k", "attn_k", h, kv_width, p.width);  // (tokens, kv_heads * head_dim)
    const ValueId v = linear("v", "attn_v", h, kv_width, p.width);
    q = rotary(q, p.heads, named("q_rotary"));
    k = rotary(k, p.kv_heads, named("k_rotary"));
    const ValueId cache_k = g.state(fmt::format("cache.k.{}", layer), DType::F32, {"context", kv_width});
    const ValueId cache_v = g.state(fmt::format("cache.v.{}", layer), DType::F32, {"context", kv_width});
    const ValueId attention =
        g.add("attention", named("attention"), {q, k, v, kNoValue, cache_k, cache_v, position},
              {{"heads", p.heads}, {"kv_heads", p.kv_heads}, {"causal", std::int64_t{1}}, {"window", p.window}});
    x = linear("attention_output", "attn_output", attention, p.width, q_width, x);

    const ValueId ffn_norm = weights.required(block + "ffn_norm.weight", {p.width});
    const ValueId f = g.add("rms_norm", named("ffn_norm"), {x, ffn_norm}, norm);
    const ValueId gate = linear("ffn_gate", "ffn_gate", f, p.ffn_width, p.width);
    const ValueId up = linear("ffn_up", "ffn_up", f, p.ffn_width, p.width);
    const ValueId gated = g.add("gate", named("ffn_gated"), {gate, up}, {{"activation", p.activation}});
    x = linear("ffn_down", "ffn_down", gated, p.width, p.ffn_width, x);
  }

  x = g.add("tail", "tail", {x}, {{"rows", std::string("outputs")}});  // (outputs, width)
  const ValueId output_norm = weights.required("output_norm.weight", {p.width});
  x = g.add("rms_norm", "output_norm", {x, output_norm}, norm);
  const ValueId untied = weights.optional("output.weight", {p.vocabulary, p.width});
  x = g.add("linear", "output", {x, untied != kNoValue ? untied : embedding});  // (outputs, vocabulary)
  g.output(x, "logits");
  weights.refuse_unread("llama");
  return std::move(g).finish();
}

}  // namespace heed::models
