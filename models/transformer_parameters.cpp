#include <fmt/format.h>

#include "heed/error.h"
#include "models/transformer.h"

namespace heed::models {

namespace {

TransformerStack stack_from(const char* side, const nlohmann::json& json) {
  ParameterReader reader(fmt::format("transformer ({})", side), json);
  TransformerStack stack;
  stack.layers = reader.integer("layers", 1, 1000);
  stack.heads = reader.size("heads");
  stack.head_dim = reader.size("head_dim");
  stack.ffn_width = reader.size("ffn_width");
  stack.final_norm = reader.boolean("final_norm");
  reader.refuse_unread();
  constexpr std::int64_t kMostWidth = std::int64_t{1} << 24;
  if (stack.heads > kMostWidth || stack.head_dim > kMostWidth || stack.heads * stack.head_dim > kMostWidth) {
    reader.fail(fmt::format("{} heads of {} are wider than {}", stack.heads, stack.head_dim, kMostWidth));
  }
  return stack;
}

nlohmann::json stack_json(const TransformerStack& stack) {
  return {{"layers", stack.layers},
          {"heads", stack.heads},
          {"head_dim", stack.head_dim},
          {"ffn_width", stack.ffn_width},
          {"final_norm", stack.final_norm}};
}

}  // namespace

TransformerParameters TransformerParameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("transformer", json);
  TransformerParameters p;
  p.width = reader.size("width");
  p.encoder = stack_from("encoder", reader.value("encoder"));
  p.decoder = stack_from("decoder", reader.value("decoder"));
  p.source_vocabulary = reader.size("source_vocabulary");
  p.vocabulary = reader.size("vocabulary");
  p.source_context = reader.size("source_context");
  p.context = reader.size("context");
  p.norm = reader.choice("norm", {"layer", "rms"});
  p.norm_eps = reader.positive("norm_eps");
  p.norm_first = reader.boolean("norm_first");
  p.embedding_norm = reader.boolean("embedding_norm");
  p.biases = reader.boolean("biases");
  p.positions = reader.choice("positions", {"none", "table", "relative", "relative_layers"});
  const bool relative = p.positions.starts_with("relative");
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
  // T5 gives half of a side's buckets, at least one, to distances of their own.
  p.relative_buckets = reader.integer("relative_buckets", relative ? 4 : 0, relative ? 1 << 20 : 0);
  p.relative_distance = reader.integer("relative_distance", relative ? 1 : 0, relative ? kMost : 0);
  p.embedding_scale = reader.positive("embedding_scale");
  p.scale_attention = reader.boolean("scale_attention");
  p.activation = reader.choice("activation", {"relu", "gelu", "gelu_tanh", "silu"});
  p.gated = reader.boolean("gated");
  reader.refuse_unread();
  if (relative && p.relative_distance <= p.relative_buckets / 2) {
    reader.fail(fmt::format("relative_distance is {}; expected more than half of the {} buckets", p.relative_distance,
                            p.relative_buckets));
  }
  return p;
}

nlohmann::json TransformerParameters::to_json() const {
  return {{"width", width},
          {"encoder", stack_json(encoder)},
          {"decoder", stack_json(decoder)},
          {"source_vocabulary", source_vocabulary},
          {"vocabulary", vocabulary},
          {"source_context", source_context},
          {"context", context},
          {"norm", norm},
          {"norm_eps", norm_eps},
          {"norm_first", norm_first},
          {"embedding_norm", embedding_norm},
          {"biases", biases},
          {"positions", positions},
          {"relative_buckets", relative_buckets},
          {"relative_distance", relative_distance},
          {"embedding_scale", embedding_scale},
          {"scale_attention", scale_attention},
          {"activation", activation},
          {"gated", gated}};
}

}  // namespace heed::models
