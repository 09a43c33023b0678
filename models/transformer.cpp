#include "models/transformer.h"

#include <fmt/format.h>

#include <algorithm>

namespace heed::models {

namespace {

/// Builds one of the two graphs; the sides of the model are "encoder" and "decoder".
class TransformerBuilder {
 public:
  TransformerBuilder(const std::string& graph, const TransformerParameters& parameters, const TensorTable& tensors,
                     const TensorNames& names)
      : p_(parameters), g_(graph), weights_(g_, tensors, {}, names) {}

  Graph encode();
  Graph decode();
  const std::set<std::string, std::less<>>& read() const { return weights_.read(); }

 private:
  std::int64_t inner(const TransformerStack& stack) const { return stack.heads * stack.head_dim; }
  std::string block(const std::string& side, std::int64_t layer) const {
    return fmt::format("{}.blk.{}.", side, layer);
  }

  ValueId norm(const std::string& node, const std::string& tensor, ValueId x) {
    std::vector<ValueId> inputs = {x, weights_.required(tensor + ".weight", {p_.width})};
    if (p_.norm == "layer" && p_.biases) inputs.push_back(weights_.required(tensor + ".bias", {p_.width}));
    return g_.add(p_.norm + "_norm", node, std::move(inputs), {{"eps", p_.norm_eps}});
  }

  ValueId linear(const std::string& node, const std::string& tensor, ValueId x, std::int64_t rows, std::int64_t columns,
                 ValueId residual = kNoValue, const std::string& activation = "none") {
    const ValueId weight = weights_.required(tensor + ".weight", {rows, columns});
    const ValueId bias = p_.biases ? weights_.required(tensor + ".bias", {rows}) : kNoValue;
    std::vector<ValueId> inputs = {x, weight};
    if (bias != kNoValue || residual != kNoValue) inputs.push_back(bias);
    if (residual != kNoValue) inputs.push_back(residual);
    return g_.add("linear", node, std::move(inputs), {{"activation", activation}});
  }

  /// x + f(norm(x)), or norm(x + f(x)). `compute` gets what f reads and what is added to it.
  template <typename Compute>
  ValueId sublayer(const std::string& node, const std::string& tensor, ValueId x, Compute compute) {
    const ValueId h = p_.norm_first ? norm(node, tensor, x) : x;
    const ValueId y = compute(h, x);
    return p_.norm_first ? y : norm(node, tensor, y);
  }

  ValueId feed_forward(std::int64_t layer, const TransformerStack& stack, const std::string& block, ValueId x);
  ValueId embedded(const std::string& side, ValueId tokens, ValueId positions);
  ValueId target_embedding();
  /// The bias of relative positions of a layer, [H, T, L]; kNoValue where there are none.
  ValueId relative(const std::string& side, std::int64_t layer, const TransformerStack& stack, ValueId position);
  Attributes attention_attributes(const TransformerStack& stack, bool causal) const;

  const TransformerParameters& p_;
  GraphBuilder g_;
  WeightSource weights_;
  ValueId relative_bias_ = kNoValue;  // where all layers share it
};

Attributes TransformerBuilder::attention_attributes(const TransformerStack& stack, bool causal) const {
  Attributes how = {{"heads", stack.heads}, {"kv_heads", stack.heads}};
  if (causal) how.set("causal", std::int64_t{1});
  if (!p_.scale_attention) how.set("scale", 1.0);
  return how;
}

ValueId TransformerBuilder::feed_forward(std::int64_t layer, const TransformerStack& stack, const std::string& block,
                                         ValueId x) {
  const auto named = [&](const char* what) { return fmt::format("layer{}.{}", layer, what); };
  return sublayer(named("ffn_norm"), block + "ffn_norm", x, [&](ValueId h, ValueId residual) {
    ValueId y = kNoValue;
    if (p_.gated) {
      const ValueId gate = linear(named("ffn_gate"), block + "ffn_gate", h, stack.ffn_width, p_.width);
      const ValueId up = linear(named("ffn_up"), block + "ffn_up", h, stack.ffn_width, p_.width);
      y = g_.add("gate", named("ffn_gated"), {gate, up}, {{"activation", p_.activation}});
    } else {
      y = linear(named("ffn_up"), block + "ffn_up", h, stack.ffn_width, p_.width, kNoValue, p_.activation);
    }
    return linear(named("ffn_down"), block + "ffn_down", y, p_.width, stack.ffn_width, residual);
  });
}

ValueId TransformerBuilder::target_embedding() {
  const Shape shape = {p_.vocabulary, p_.width};
  return weights_.has("token_embd.weight") ? weights_.required("token_embd.weight", shape)
                                           : weights_.required("target_embd.weight", shape);
}

ValueId TransformerBuilder::embedded(const std::string& side, ValueId tokens, ValueId positions) {
  const bool source = side == "encoder";
  ValueId table = kNoValue;
  if (!source) {
    table = target_embedding();
  } else if (weights_.has("token_embd.weight")) {
    table = weights_.required("token_embd.weight", {p_.source_vocabulary, p_.width});
  } else {
    table = weights_.required("source_embd.weight", {p_.source_vocabulary, p_.width});
  }
  ValueId x = g_.add("embedding", "token_embedding", {tokens, table}, {{"scale", p_.embedding_scale}});
  if (p_.positions == "table") {
    ValueId places = kNoValue;
    if (weights_.has("position_embd.weight")) {
      places = weights_.required("position_embd.weight", {std::max(p_.source_context, p_.context), p_.width});
    } else if (source) {
      places = weights_.required("source_position.weight", {p_.source_context, p_.width});
    } else {
      places = weights_.required("target_position.weight", {p_.context, p_.width});
    }
    x = g_.add("add", "embedding", {x, g_.add("embedding", "position_embedding", {positions, places})});
  }
  return p_.embedding_norm ? norm("embedding_norm", side + ".embd_norm", x) : x;
}

ValueId TransformerBuilder::relative(const std::string& side, std::int64_t layer, const TransformerStack& stack,
                                     ValueId position) {
  const bool each_layer = p_.positions == "relative_layers";
  if (!p_.positions.starts_with("relative") || (!each_layer && layer > 0)) return relative_bias_;
  const bool source = side == "encoder";
  const ValueId table = weights_.required((each_layer ? block(side, layer) : side + ".") + "relative.weight",
                                          {p_.relative_buckets, stack.heads});
  std::vector<ValueId> inputs = {table};
  if (!source) inputs.push_back(position);
  relative_bias_ = g_.add("relative_bias", each_layer ? fmt::format("layer{}.relative_bias", layer) : "relative_bias",
                          std::move(inputs),
                          {{"rows", std::string(source ? "source" : "tokens")},
                           {"length", std::string(source ? "source" : "context")},
                           {"bidirectional", std::int64_t{source ? 1 : 0}},
                           {"max_distance", p_.relative_distance}});
  return relative_bias_;
}

Graph TransformerBuilder::encode() {
  const TransformerStack& stack = p_.encoder;
  const ValueId tokens = g_.input("source_tokens", DType::I32, {"batch", "source"});
  const ValueId lengths = g_.input("source_lengths", DType::I32, {"batch"});
  const ValueId positions =
      p_.positions == "table" ? g_.add("positions", "positions", {}, {{"rows", std::string("source")}}) : kNoValue;
  ValueId x = embedded("encoder", tokens, positions);  // (batch, source, width)
  for (std::int64_t layer = 0; layer < stack.layers; ++layer) {
    const std::string tensors = block("encoder", layer);
    const auto named = [&](const char* what) { return fmt::format("layer{}.{}", layer, what); };
    x = sublayer(named("attention_norm"), tensors + "attn_norm", x, [&](ValueId h, ValueId residual) {
      const ValueId q = linear(named("q"), tensors + "attn_q", h, inner(stack), p_.width);  // (batch, source, H * d)
      const ValueId k = linear(named("k"), tensors + "attn_k", h, inner(stack), p_.width);
      const ValueId v = linear(named("v"), tensors + "attn_v", h, inner(stack), p_.width);
      const ValueId bias = relative("encoder", layer, stack, kNoValue);
      const ValueId y = g_.add("attention", named("attention"), {q, k, v, bias, kNoValue, kNoValue, kNoValue, lengths},
                               attention_attributes(stack, false));
      return linear(named("attention_output"), tensors + "attn_output", y, p_.width, inner(stack), residual);
    });
    x = feed_forward(layer, stack, tensors, x);
  }
  if (stack.final_norm) x = norm("output_norm", "encoder.output_norm", x);
  for (std::int64_t layer = 0; layer < p_.decoder.layers; ++layer) {
    for (const char* part : {"k", "v"}) {
      const std::string node = fmt::format("layer{}.cross_{}", layer, part);
      const std::int64_t width = inner(p_.decoder);
      const ValueId y = linear(node, block("decoder", layer) + "cross_" + part, x, width, p_.width);
      const ValueId state = g_.state(fmt::format("cross.{}.{}", part, layer), DType::F32, {"batch", "source", width});
      g_.add_many("store", node + ".store", {state, y}, {}, 0);
    }
  }
  g_.output(x, "memory");
  return std::move(g_).finish();
}

Graph TransformerBuilder::decode() {
  const TransformerStack& stack = p_.decoder;
  const std::int64_t width = inner(stack);
  const ValueId tokens = g_.input("tokens", DType::I32, {"tokens"});
  const ValueId position = g_.input("position", DType::I32, {1});
  const ValueId lengths = g_.input("source_lengths", DType::I32, {"batch"});
  const ValueId positions = p_.positions == "table"
                                ? g_.add("positions", "positions", {position}, {{"rows", std::string("tokens")}})
                                : kNoValue;
  ValueId x = embedded("decoder", tokens, positions);  // (tokens, width)
  for (std::int64_t layer = 0; layer < stack.layers; ++layer) {
    const std::string tensors = block("decoder", layer);
    const auto named = [&](const char* what) { return fmt::format("layer{}.{}", layer, what); };
    const auto state = [&](const char* what, SymbolicShape shape) {
      return g_.state(fmt::format("{}.{}", what, layer), DType::F32, std::move(shape));
    };
    x = sublayer(named("attention_norm"), tensors + "attn_norm", x, [&](ValueId h, ValueId residual) {
      const ValueId q = linear(named("q"), tensors + "attn_q", h, width, p_.width);  // (tokens, H * d)
      const ValueId k = linear(named("k"), tensors + "attn_k", h, width, p_.width);
      const ValueId v = linear(named("v"), tensors + "attn_v", h, width, p_.width);
      const ValueId bias = relative("decoder", layer, stack, position);
      const ValueId cache_k = state("cache.k", {"context", width});
      const ValueId cache_v = state("cache.v", {"context", width});
      const ValueId y = g_.add("attention", named("attention"), {q, k, v, bias, cache_k, cache_v, position},
                               attention_attributes(stack, true));
      return linear(named("attention_output"), tensors + "attn_output", y, p_.width, width, residual);
    });
    x = sublayer(named("cross_norm"), tensors + "cross_norm", x, [&](ValueId h, ValueId residual) {
      const ValueId q = linear(named("cross_q"), tensors + "cross_q", h, width, p_.width);
      const ValueId k = state("cross.k", {"batch", "source", width});
      const ValueId v = state("cross.v", {"batch", "source", width});
      const ValueId y =
          g_.add("attention", named("cross_attention"), {q, k, v, kNoValue, kNoValue, kNoValue, kNoValue, lengths},
                 attention_attributes(stack, false));
      return linear(named("cross_output"), tensors + "cross_output", y, p_.width, width, residual);
    });
    x = feed_forward(layer, stack, tensors, x);
  }
  x = g_.add("tail", "tail", {x}, {{"rows", std::string("outputs")}});  // (outputs, width)
  if (stack.final_norm) x = norm("output_norm", "decoder.output_norm", x);
  const ValueId untied = weights_.optional("output.weight", {p_.vocabulary, p_.width});
  const ValueId bias = weights_.optional("output.bias", {p_.vocabulary});
  std::vector<ValueId> inputs = {x, untied != kNoValue ? untied : target_embedding()};
  if (bias != kNoValue) inputs.push_back(bias);
  g_.output(g_.add("linear", "output", std::move(inputs)), "logits");  // (outputs, vocabulary)
  return std::move(g_).finish();
}

}  // namespace

std::vector<Graph> transformer_graphs(const TransformerParameters& parameters, const TensorTable& tensors,
                                      const TensorNames& names) {
  TransformerBuilder decoder("decode", parameters, tensors, names);
  TransformerBuilder encoder("encode", parameters, tensors, names);
  std::vector<Graph> graphs;
  graphs.push_back(decoder.decode());
  graphs.push_back(encoder.encode());
  std::set<std::string, std::less<>> read = decoder.read();
  read.insert(encoder.read().begin(), encoder.read().end());
  refuse_unread("transformer", tensors, read, names);
  return graphs;
}

}  // namespace heed::models
