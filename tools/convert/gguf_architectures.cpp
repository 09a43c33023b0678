#include "tools/convert/gguf_architectures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "heed/error.h"

namespace heed::convert {

namespace {

std::int64_t whole(const nlohmann::json& parameters, const char* key) { return parameters.at(key).get<std::int64_t>(); }

void multiply_embedding(nlohmann::json& p) { p["embedding_scale"] = std::sqrt(static_cast<double>(whole(p, "width"))); }

/// The two largest Gemmas scale scores by the width that each head would have if they shared that of the stream. Files
/// do not say so; llama.cpp knows these models by their number of layers, too.
void scale_scores_of_largest(nlohmann::json& p, std::int64_t layers) {
  if (whole(p, "layers") != layers) return;
  p["attention_scale"] = 1 / std::sqrt(static_cast<double>(whole(p, "width") / whole(p, "heads")));
}

/// Layers that slide: those that a list of the file says, or all but the last of each `period` layers, which the file
/// may say, too.
void add_windows(GgufKeys& keys, nlohmann::json& p, std::int64_t window, std::int64_t period) {
  const std::string_view pattern = "attention.sliding_window_pattern";
  const auto listed = keys.find_integers(pattern);
  if (!listed) period = keys.find_size(pattern).value_or(period);
  if (window == 0) return;
  const std::int64_t layers = std::min<std::int64_t>(whole(p, "layers"), 10000);
  if (listed && listed->size() != static_cast<std::size_t>(layers)) {
    keys.unsupported(pattern, fmt::format("{} values, one a layer", layers));
  }
  std::vector<std::int64_t> windows;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const bool slides =
        listed ? (*listed)[static_cast<std::size_t>(layer)] != 0 : period == 0 || layer % period < period - 1;
    windows.push_back(slides ? window : 0);
  }
  if (std::ranges::any_of(windows, [](std::int64_t each) { return each > 0; })) p["windows"] = windows;
}

void add_soft_caps(GgufKeys& keys, nlohmann::json& p, double attention, double logits) {
  p["attention_softcap"] = keys.find_real("attn_logit_softcapping").value_or(attention);
  p["logits_softcap"] = keys.find_real("final_logit_softcapping").value_or(logits);
}

void add_granite(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  // In these files alone it says whether there are rotary positions at all.
  if (!keys.find_boolean("rope.scaling.finetuned").value_or(true)) keys.unsupported("rope.scaling.finetuned", "true");
  // llama.cpp takes 0 for "not set".
  const auto scale = [&](const char* key) { return keys.find_real(key).value_or(0); };
  if (const double factor = scale("embedding_scale"); factor != 0) p["embedding_scale"] = factor;
  if (const double factor = scale("residual_scale"); factor != 0) p["residual_scale"] = factor;
  if (const double factor = scale("attention.scale"); factor != 0) p["attention_scale"] = factor;
  if (const double divisor = scale("logit_scale"); divisor != 0) p["logits_scale"] = 1 / divisor;
}

void add_gemma(GgufKeys&, const HasTensor&, nlohmann::json& p) { multiply_embedding(p); }

void add_gemma2(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  multiply_embedding(p);
  scale_scores_of_largest(p, 46);
  add_soft_caps(keys, p, 50, 30);
  add_windows(keys, p, keys.find_size("attention.sliding_window").value_or(4096), 2);
}

void add_gemma3(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  multiply_embedding(p);
  scale_scores_of_largest(p, 62);
  add_soft_caps(keys, p, 0, 0);
  add_windows(keys, p, keys.find_size("attention.sliding_window").value_or(0), 6);
  p["local_rope_base"] = keys.positive("rope.freq_base_swa", 10000);
}

void add_olmo2(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  // OLMo 3 is the same with windows, in whose layers positions are not stretched.
  const std::int64_t window = keys.find_size("attention.sliding_window").value_or(0);
  add_windows(keys, p, window, 4);
  const double base = keys.positive("rope.freq_base", 10000);
  if (window > 0) p["local_rope_base"] = keys.positive("rope.freq_base_swa", base);
}

void add_phi3(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  const std::int64_t window = keys.find_size("attention.sliding_window").value_or(0);
  add_windows(keys, p, window, 0);
}

void add_gpt_neox(GgufKeys& keys, const HasTensor&, nlohmann::json& p) {
  if (keys.find_boolean("use_parallel_residual").value_or(true)) p["norm_place"] = "parallel";
}

void add_stablelm(GgufKeys& keys, const HasTensor& has, nlohmann::json& p) {
  keys.skip("use_parallel_residual");  // writers say true where nothing was said; a second norm tells
  if (!has("blk.0.ffn_norm.weight")) p["norm_place"] = "parallel";
}

/// Mixtures of experts. Where a file does not say how wide an expert is, it is as wide as the feed-forward; of Qwen's,
/// as wide as makes the chosen ones together as wide.
void add_experts(GgufKeys& keys, const HasTensor& has, const GgufArchitecture& architecture, nlohmann::json& p) {
  const std::int64_t experts = keys.find_size("expert_count").value_or(0);
  const std::int64_t used = keys.find_size("expert_used_count").value_or(0);
  if (experts == 0 && used == 0) return;
  if (architecture.expert_softmax.empty()) keys.unsupported("expert_count", "0");
  if (used < 1 || used > experts) keys.unsupported("expert_used_count", fmt::format("1 to {}", experts));
  if (has("blk.0.ffn_gate.0.weight")) {
    throw Error(
        "tensor 'blk.0.ffn_gate.0.weight': experts one by one, as older converters wrote them, are not read; convert "
        "the model to GGUF with a llama.cpp of 2024 or later");
  }
  const std::int64_t width = whole(p, "ffn_width");
  const bool shared_out = architecture.name.starts_with("qwen");
  p["experts"] = experts;
  p["experts_used"] = used;
  p["expert_width"] = keys.find_size("expert_feed_forward_length").value_or(shared_out ? width / used : width);
  const bool normalises = keys.find_boolean("expert_weights_norm").value_or(architecture.expert_softmax == "chosen");
  p["expert_softmax"] = normalises ? "chosen" : "all";
  if (architecture.expert_threshold > 0) {
    if (used != 2) keys.unsupported("expert_used_count", "2, as many as a SparseMixer chooses");
    p["expert_softmax"] = "near";
    p["expert_threshold"] = architecture.expert_threshold;
  }
  if (const double scale = keys.find_real("expert_weights_scale").value_or(0); scale != 0) p["expert_scale"] = scale;
  if (keys.find_size("expert_gating_func").value_or(1) != 1) keys.unsupported("expert_gating_func", "1, softmax");
  const auto shared = keys.find_size("expert_shared_feed_forward_length");
  if (has("blk.0.ffn_gate_shexp.weight")) p["shared_expert_width"] = shared.value_or(width);
}

void add_bloom(GgufKeys&, const HasTensor&, nlohmann::json& p) { p["alibi"] = true; }

// GPT-NeoX and Falcon were trained with the exact GELU, which their files do not say.
constexpr GgufArchitecture kGgufArchitectures[] = {
    {.name = "llama", .rope_layout = "interleaved", .expert_softmax = "chosen"},
    {.name = "granite", .rope_layout = "interleaved", .read = add_granite},
    {.name = "granitemoe", .rope_layout = "interleaved", .expert_softmax = "chosen", .read = add_granite},
    {.name = "qwen2"},
    {.name = "qwen2moe", .expert_softmax = "all"},
    {.name = "qwen3", .query_norm = "head"},
    {.name = "qwen3moe", .query_norm = "head", .expert_softmax = "chosen"},
    {.name = "olmoe", .query_norm = "all", .expert_softmax = "all"},
    {.name = "gemma", .activation = "gelu_tanh", .read = add_gemma},
    {.name = "gemma2", .norm_place = "both", .activation = "gelu_tanh", .read = add_gemma2},
    {.name = "gemma3", .norm_place = "both", .query_norm = "head", .activation = "gelu_tanh", .read = add_gemma3},
    {.name = "olmo2", .norm_place = "post", .query_norm = "all", .read = add_olmo2},
    {.name = "phi3", .gate_in_up = true, .read = add_phi3},
    // llama.cpp normalises the weights of the chosen; the models, and transformers, weigh each among those near it. And
    // its converter writes Phi-3's factor of longrope, where Phi-3.5-MoE's config.json has short_mscale and
    // long_mscale.
    {.name = "phimoe",
     .norm = "layer_norm",
     .epsilon_of_rms_norm = true,
     .expert_softmax = "near",
     .expert_threshold = 0.02,
     .longrope_scale = 1.243163121016122,
     .read = add_phi3},
    {.name = "phi2",
     .norm = "layer_norm",
     .norm_place = "parallel",
     .feed_forward = "plain",
     .activation = "gelu_tanh"},
    {.name = "stablelm", .norm = "layer_norm", .read = add_stablelm},
    {.name = "starcoder2", .norm = "layer_norm", .feed_forward = "plain", .activation = "gelu_tanh"},
    {.name = "gptneox", .norm = "layer_norm", .feed_forward = "plain", .activation = "gelu", .read = add_gpt_neox},
    {.name = "falcon", .norm = "layer_norm", .norm_place = "parallel", .feed_forward = "plain", .activation = "gelu"},
    {.name = "gpt2", .norm = "layer_norm", .feed_forward = "plain", .activation = "gelu_tanh", .rope_layout = ""},
    {.name = "bloom",
     .norm = "layer_norm",
     .feed_forward = "plain",
     .activation = "gelu_tanh",
     .rope_layout = "",
     .read = add_bloom},
};

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  const auto* found = std::ranges::find(kGgufArchitectures, name, &GgufArchitecture::name);
  return found == std::end(kGgufArchitectures) ? nullptr : found;
}

std::string known_gguf_architectures() {
  std::string names;
  for (const GgufArchitecture& each : kGgufArchitectures)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
  return names;
}

nlohmann::json gguf_parameters(const GgufArchitecture& architecture, GgufKeys& keys, const HasTensor& has,
                               std::int64_t vocabulary) {
  const std::int64_t width = keys.size("embedding_length");
  const std::int64_t heads = keys.find_size_of_layers("attention.head_count").value_or(0);
  if (heads < 1) {
    throw Error(fmt::format("GGUF metadata '{}' is missing or not above 0", keys.full("attention.head_count")));
  }
  const std::int64_t kv_heads = keys.find_size_of_layers("attention.head_count_kv").value_or(heads);
  const auto key_length = keys.find_size("attention.key_length");
  if (!key_length && width % heads != 0) {
    throw Error(
        fmt::format("GGUF metadata: {} heads do not divide {}, {}", heads, keys.full("embedding_length"), width));
  }
  const std::int64_t head_dim = key_length.value_or(width / heads);
  if (keys.find_size("attention.value_length").value_or(head_dim) != head_dim) {
    throw Error(fmt::format("GGUF metadata '{}' differs from the key length, which heed does not support",
                            keys.full("attention.value_length")));
  }
  if (!keys.find_boolean("attention.causal").value_or(true)) keys.unsupported("attention.causal", "true");
  if (const auto size = keys.find_size("vocab_size"); size && *size != vocabulary) {
    throw Error(fmt::format("tensor 'token_embd.weight' has {} rows, but {} is {}", vocabulary, keys.full("vocab_size"),
                            *size));
  }
  const bool rms = architecture.norm == "rms_norm" || architecture.epsilon_of_rms_norm;
  const auto ffn_width = keys.find_size_of_layers("feed_forward_length");
  if (!ffn_width) throw Error(fmt::format("GGUF metadata '{}' is missing", keys.full("feed_forward_length")));
  nlohmann::json p = {
      {"width", width},
      {"layers", keys.size("block_count")},
      {"heads", heads},
      {"kv_heads", kv_heads},
      {"head_dim", head_dim},
      {"ffn_width", *ffn_width},
      {"vocabulary", vocabulary},
      {"context", keys.size("context_length")},
      {"norm_eps", keys.positive(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon")},
      {"activation", architecture.activation},
      {"rope_dims", 0}};
  if (architecture.norm != "rms_norm") p["norm"] = architecture.norm;
  if (architecture.norm_place != "pre") p["norm_place"] = architecture.norm_place;
  if (architecture.query_norm != "none") p["query_norm"] = architecture.query_norm;
  if (architecture.feed_forward != "gated") p["feed_forward"] = architecture.feed_forward;
  keys.skip("tensor_data_layout");
  add_experts(keys, has, architecture, p);
  if (architecture.read != nullptr) architecture.read(keys, has, p);
  return p;
}

}  // namespace heed::convert
