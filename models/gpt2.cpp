#include "models/gpt2.h"

#include <fmt/format.h>

namespace heed::models {

Gpt2Parameters Gpt2Parameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("gpt2", json);
  Gpt2Parameters p;
  p.width = reader.size("width");
  p.layers = reader.integer("layers", 1, 10000);
  p.heads = reader.size("heads");
  p.ffn_width = reader.size("ffn_width");
  p.vocabulary = reader.size("vocabulary");
  p.context = reader.size("context");
  p.norm_eps = reader.positive("norm_eps");
  p.activation = reader.choice("activation", {"gelu_tanh", "gelu", "silu", "relu"});
  p.scale_attention = reader.boolean("scale_attention");
  reader.refuse_unread();
  if (p.width % p.heads != 0) reader.fail(fmt::format("{} heads do not divide a width of {}", p.heads, p.width));
  return p;
}

nlohmann::json Gpt2Parameters::to_json() const {
  return {{"width", width},         {"layers", layers},         {"heads", heads},
          {"ffn_width", ffn_width}, {"vocabulary", vocabulary}, {"context", context},
          {"norm_eps", norm_eps},   {"activation", activation}, {"scale_attention", scale_attention}};
}

Graph gpt2_decode_graph(const Gpt2Parameters& p, const TensorTable& tensors, const TensorNames& names) {
  GraphBuilder g("decode");
  WeightSource weights(g, tensors, {}, names);

  const ValueId tokens = g.input("tokens", DType::I32, {"tokens"});
  const ValueId position = g.input("position", DType::I32, {1});
  const ValueId embedding = weights.required("token_embd.weight", {p.vocabulary, p.width});
  const ValueId position_table = weights.required("position_embd.weight", {p.context, p.width});

  const auto layer_norm = [&](ValueId x, const std::string& name, const std::string& tensor) {
    const ValueId weight = weights.required(tensor + ".weight", {p.width});
    const ValueId bias = weights.required(tensor + ".bias", {p.width});
    return g.add("layer_norm", name, {x, weight, bias}, {{"eps", p.norm_eps}});
  };

  const ValueId words = g.add("embedding", "token_embedding", {tokens, embedding});  // (tokens, width)
  const ValueId positions = g.add("positions", "positions", {position}, {{"rows", std::string("tokens")}});
  const ValueId places = g.add("embedding", "position_embedding", {positions, position_table});
  ValueId x = g.add("add", "embedding", {words, places});
  for (std::int64_t layer = 0; layer < p.layers; ++layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    const auto named = [&](const char* what) { return fmt::format("layer{}.{}", layer, what); };
    const auto linear = [&](const char* name, const char* tensor, ValueId in, std::int64_t rows, std::int64_t columns,
                            ValueId residual = kNoValue, const std::string& activation = "none") {
      const ValueId weight = weights.required(block + tensor + ".weight", {rows, columns});
      std::vector<ValueId> inputs = {in, weight, weights.required(block + tensor + ".bias", {rows})};
      if (residual != kNoValue) inputs.push_back(residual);
      return g.add("linear", named(name), std::move(inputs), {{"activation", activation}});
    };

    const ValueId h = layer_norm(x, named("attention_norm"), block + "attn_norm");
    const ValueId q = linear("q", "attn_q", h, p.width, p.width);  // (tokens, width)
    const ValueId k = linear("k", "attn_k", h, p.width, p.width);
    const ValueId v = linear("v", "attn_v", h, p.width, p.width);
    const ValueId cache_k = g.state(fmt::format("cache.k.{}", layer), DType::F32, {"context", p.width});
    const ValueId cache_v = g.state(fmt::format("cache.v.{}", layer), DType::F32, {"context", p.width});
    Attributes how = {{"heads", p.heads}, {"kv_heads", p.heads}, {"causal", std::int64_t{1}}};
    if (!p.scale_attention) how.set("scale", 1.0);
    const ValueId attention =
        g.add("attention", named("attention"), {q, k, v, kNoValue, cache_k, cache_v, position}, std::move(how));
    x = linear("attention_output", "attn_output", attention, p.width, p.width, x);

    const ValueId f = layer_norm(x, named("ffn_norm"), block + "ffn_norm");
    const ValueId up = linear("ffn_up", "ffn_up", f, p.ffn_width, p.width, kNoValue, p.activation);
    x = linear("ffn_down", "ffn_down", up, p.width, p.ffn_width, x);
  }

  x = g.add("tail", "tail", {x}, {{"rows", std::string("outputs")}});  // (outputs, width)
  x = layer_norm(x, "output_norm", "output_norm");
  const ValueId untied = weights.optional("output.weight", {p.vocabulary, p.width});
  x = g.add("linear", "output", {x, untied != kNoValue ? untied : embedding});  // (outputs, vocabulary)
  g.output(x, "logits");
  weights.refuse_unread("gpt2");
  return std::move(g).finish();
}

}  // namespace heed::models
