#include <fmt/format.h>

#include "models/decoder.h"

namespace heed::models {
namespace {

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;

/// Numbers that have a value of their own when the key is missing.
double number_or(ParameterReader& reader, const char* key, double otherwise, bool may_be_zero) {
  if (!reader.has(key)) return otherwise;
  const double value = reader.number(key);
  if (may_be_zero && value == 0) return value;
  return reader.positive(key);
}

std::string choice_or(ParameterReader& reader, const char* key, const std::string& otherwise,
                      std::initializer_list<std::string_view> choices) {
  return reader.has(key) ? reader.choice(key, choices) : otherwise;
}

std::vector<std::int64_t> windows_of(ParameterReader& reader, std::int64_t layers) {
  if (!reader.has("windows")) return {};
  const nlohmann::json& list = reader.value("windows");
  if (!list.is_array() || (!list.empty() && list.size() != static_cast<std::size_t>(layers))) {
    reader.fail(fmt::format("hyperparameter 'windows' is no list of {} numbers, one a layer", layers));
  }
  std::vector<std::int64_t> windows;
  for (const nlohmann::json& window : list) {
    if (!window.is_number_integer() || window < 0 || window > kMost) {
      reader.fail(
          fmt::format("hyperparameter 'windows' holds {}; expected integers from 0 to {}", window.dump(), kMost));
    }
    windows.push_back(window.get<std::int64_t>());
  }
  return windows;
}

std::vector<std::int64_t> layer_list(ParameterReader& reader, const char* key, std::int64_t layers) {
  if (!reader.has(key)) return {};
  const nlohmann::json& list = reader.value(key);
  const auto wrong = [&] {
    reader.fail(fmt::format("hyperparameter '{}' is {}; expected layers from 0 to {} in ascending order", key,
                            list.dump(), layers - 1));
  };
  if (!list.is_array()) wrong();
  std::vector<std::int64_t> result;
  for (const nlohmann::json& layer : list) {
    if (!layer.is_number_integer() || layer < (result.empty() ? 0 : result.back() + 1) || layer >= layers) wrong();
    result.push_back(layer.get<std::int64_t>());
  }
  return result;
}

/// Those of mixtures of experts.
void read_experts(ParameterReader& reader, DecoderParameters& p) {
  if (reader.has("experts")) p.experts = reader.integer("experts", 0, kMost);
  const auto size = [&](const char* key) { return reader.has(key) ? reader.integer(key, 0, kMost) : 0; };
  p.experts_used = size("experts_used");
  p.expert_width = size("expert_width");
  p.expert_softmax = choice_or(reader, "expert_softmax", p.expert_softmax, {"all", "chosen", "near"});
  p.expert_threshold = number_or(reader, "expert_threshold", 0, true);
  p.expert_scale = number_or(reader, "expert_scale", 1, false);
  p.shared_expert_width = size("shared_expert_width");
  p.dense_layers = layer_list(reader, "dense_layers", p.layers);
  if (p.experts == 0) {
    if (p.experts_used > 0 || p.expert_width > 0 || p.expert_threshold > 0 || p.shared_expert_width > 0 ||
        !p.dense_layers.empty()) {
      reader.fail("has hyperparameters of experts, but 'experts' is 0");
    }
    return;
  }
  if (p.experts_used < 1 || p.experts_used > p.experts) {
    reader.fail(fmt::format("hyperparameter 'experts_used' is {}; expected 1 to {}, as many as there are experts",
                            p.experts_used, p.experts));
  }
  if (p.expert_width == 0) reader.fail("hyperparameter 'expert_width' is missing or 0");
  if (p.expert_threshold > 0 && p.expert_softmax != "near") {
    reader.fail("hyperparameter 'expert_threshold' is for an 'expert_softmax' of \"near\"");
  }
  if (p.feed_forward != "gated") reader.fail("has experts whose feed-forward is not gated");
}

}  // namespace

DecoderParameters DecoderParameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("decoder", json);
  DecoderParameters p;
  p.width = reader.size("width");
  p.layers = reader.integer("layers", 1, 10000);
  p.heads = reader.size("heads");
  p.kv_heads = reader.size("kv_heads");
  p.head_dim = reader.size("head_dim");
  p.ffn_width = reader.size("ffn_width");
  p.vocabulary = reader.size("vocabulary");
  p.context = reader.size("context");
  if (reader.has("embedding_width")) p.embedding_width = reader.integer("embedding_width", 0, kMost);
  p.norm = choice_or(reader, "norm", p.norm, {"rms_norm", "layer_norm"});
  p.norm_eps = reader.positive("norm_eps");
  p.norm_place = choice_or(reader, "norm_place", p.norm_place, {"pre", "post", "both", "parallel", "after"});
  p.query_norm = choice_or(reader, "query_norm", p.query_norm, {"none", "head", "all"});
  p.feed_forward = choice_or(reader, "feed_forward", p.feed_forward, {"gated", "plain"});
  p.activation = reader.choice("activation", {"silu", "gelu", "gelu_tanh", "relu", "relu2"});
  if (p.activation == "relu2" && p.feed_forward == "gated") {
    reader.fail("has an 'activation' of \"relu2\", which is for a 'feed_forward' of \"plain\"");
  }
  read_experts(reader, p);
  p.rope_dims = reader.integer("rope_dims", 0, kMost);
  if (p.rope_dims > 0 || reader.has("rope_layout")) {
    p.rope_layout = choice_or(reader, "rope_layout", "", {"interleaved", "half", ""});
  }
  p.rope_base = number_or(reader, "rope_base", 0, p.rope_dims == 0);
  if (p.rope_dims > 0 && p.rope_layout.empty()) reader.choice("rope_layout", {"interleaved", "half"});
  if (p.rope_dims > 0 && p.rope_base == 0) reader.positive("rope_base");
  p.rope_scale = number_or(reader, "rope_scale", 1, false);
  p.local_rope_base = number_or(reader, "local_rope_base", 0, true);
  p.unturned_layers = layer_list(reader, "unturned_layers", p.layers);
  if (reader.has("alibi")) p.alibi = reader.boolean("alibi");
  p.windows = windows_of(reader, p.layers);
  p.clip_qkv = number_or(reader, "clip_qkv", 0, true);
  p.attention_scale = number_or(reader, "attention_scale", 0, true);
  p.attention_softcap = number_or(reader, "attention_softcap", 0, true);
  p.logits_softcap = number_or(reader, "logits_softcap", 0, true);
  p.embedding_scale = number_or(reader, "embedding_scale", 1, false);
  p.residual_scale = number_or(reader, "residual_scale", 1, false);
  p.logits_scale = number_or(reader, "logits_scale", 1, false);
  reader.refuse_unread();
  if (p.heads % p.kv_heads != 0) {
    reader.fail(fmt::format("{} heads cannot share {} key/value heads evenly", p.heads, p.kv_heads));
  }
  if (p.rope_dims % 2 != 0 || p.rope_dims > p.head_dim) {
    reader.fail(fmt::format("rope_dims is {}; expected an even number up to head_dim, {}", p.rope_dims, p.head_dim));
  }
  if (p.alibi && p.rope_dims > 0) reader.fail("has both rotary positions and ALiBi's slopes");
  return p;
}

nlohmann::json DecoderParameters::to_json() const {
  return {{"width", width},
          {"layers", layers},
          {"heads", heads},
          {"kv_heads", kv_heads},
          {"head_dim", head_dim},
          {"ffn_width", ffn_width},
          {"vocabulary", vocabulary},
          {"context", context},
          {"embedding_width", embedding_width},
          {"norm", norm},
          {"norm_eps", norm_eps},
          {"norm_place", norm_place},
          {"query_norm", query_norm},
          {"feed_forward", feed_forward},
          {"activation", activation},
          {"experts", experts},
          {"experts_used", experts_used},
          {"expert_width", expert_width},
          {"expert_softmax", expert_softmax},
          {"expert_threshold", expert_threshold},
          {"expert_scale", expert_scale},
          {"shared_expert_width", shared_expert_width},
          {"dense_layers", dense_layers},
          {"rope_dims", rope_dims},
          {"rope_layout", rope_layout},
          {"rope_base", rope_base},
          {"rope_scale", rope_scale},
          {"local_rope_base", local_rope_base},
          {"unturned_layers", unturned_layers},
          {"alibi", alibi},
          {"windows", windows},
          {"clip_qkv", clip_qkv},
          {"attention_scale", attention_scale},
          {"attention_softcap", attention_softcap},
          {"logits_softcap", logits_softcap},
          {"embedding_scale", embedding_scale},
          {"residual_scale", residual_scale},
          {"logits_scale", logits_scale}};
}

}  // namespace heed::models
