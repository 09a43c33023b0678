// What tells the decoder-only families of transformers from each other: keys of config.json and constants.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "tools/convert/config_reader.h"
#include "tools/convert/huggingface_config.h"
#include "tools/convert/huggingface_names.h"

namespace heed::convert {

namespace {

void layer_norms(HuggingFaceConfig& result) {
  result.parameters["norm"] = "layer_norm";
  result.parameters["feed_forward"] = "plain";
}

void biases(HuggingFaceConfig& result, std::initializer_list<const char*> names, bool are_there = true) {
  if (are_there) result.biased.insert(names.begin(), names.end());
}
void attention_biases(HuggingFaceConfig& result, bool are_there) {
  biases(result, {"attn_q", "attn_k", "attn_v", "attn_output"}, are_there);
}
void ffn_biases(HuggingFaceConfig& result, bool are_there) {
  const bool gated = result.parameters.value("feed_forward", "gated") == "gated";
  biases(result, {"ffn_up", "ffn_down"}, are_there);
  biases(result, {"ffn_gate"}, are_there && gated);
}

void read_llama(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  config.expect("sliding_window", false);
  config.expect("use_sliding_window", false);
  config.expect("rope_interleaved", false);
  config.boolean("is_llama_config", false);  // of a converter, either way
  attention_biases(result, config.boolean("attention_bias", false));
  ffn_biases(result, config.boolean("mlp_bias", false));
  read_rope(config, result);
}

void read_mistral(ConfigReader& config, HuggingFaceConfig& result) {
  // MistralConfig's own default of 8 is older than most checkpoints: it must be spelled out.
  if (!config.find_size("num_key_value_heads")) config.fail("num_key_value_heads", "an integer above zero");
  read_sizes(config, {}, result);
  if (!config.has("sliding_window")) config.fail("sliding_window", "a number or null");
  read_one_window(config, result);
  config.expect("attention_bias", false);
  config.expect("mlp_bias", false);
  read_rope(config, result);
}

/// Windows of Qwen's models, which most of their configs describe and switch off. transformers 5 writes layer_types; 4
/// makes them of the first layer that slides, which is 0 or more. `by_first`: whether all versions do so alike.
void read_qwen_windows(ConfigReader& config, HuggingFaceConfig& result, bool by_first = true) {
  const bool slides = config.boolean("use_sliding_window", false);
  if (!slides) config.skip("sliding_window");
  const bool named = config.has("sliding_window");  // null is none; a missing key is the families' default
  const std::int64_t window = !slides ? 0 : named ? config.find_size("sliding_window").value_or(0) : 4096;
  if (slides && !by_first && !config.has("layer_types")) {
    config.fail("use_sliding_window", "false, or layer_types beside it, as transformers 5 writes them");
  }
  std::int64_t first = 28;  // the families' default
  if (const nlohmann::json* layer = config.find("max_window_layers")) {
    if (!layer->is_number_integer() || *layer < 0 || *layer > INT32_MAX) {
      config.fail("max_window_layers", fmt::format("an integer from 0 to {}", INT32_MAX));
    }
    first = layer->get<std::int64_t>();
  }
  read_windows(config, result, window, [&](std::int64_t layer) { return window > 0 && layer >= first; });
}

void read_qwen2(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  biases(result, {"attn_q", "attn_k", "attn_v"});
  read_qwen_windows(config, result);
  config.expect("use_mrope", false);
  read_rope(config, result);
}

void read_qwen3(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  if (!config.has("head_dim")) config.fail("head_dim", "an integer above zero");
  result.parameters["query_norm"] = "head";
  attention_biases(result, config.boolean("attention_bias", false));
  read_qwen_windows(config, result);
  read_rope(config, result);
}

void read_olmo2(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  result.parameters["norm_place"] = "post";
  result.parameters["query_norm"] = "all";
  attention_biases(result, config.boolean("attention_bias", false));
  read_rope(config, result);
}

void read_granite(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  result.parameters["embedding_scale"] = config.find_positive("embedding_multiplier").value_or(1);
  result.parameters["attention_scale"] = config.find_positive("attention_multiplier").value_or(1);
  result.parameters["residual_scale"] = config.find_positive("residual_multiplier").value_or(1);
  result.parameters["logits_scale"] = 1 / config.find_positive("logits_scaling").value_or(1);
  attention_biases(result, config.boolean("attention_bias", false));
  ffn_biases(result, config.boolean("mlp_bias", false));
  read_rope(config, result);
}

void read_mixtral(ConfigReader& config, HuggingFaceConfig& result) {
  if (!config.find_size("num_key_value_heads")) config.fail("num_key_value_heads", "an integer above zero");
  read_sizes(config, {}, result);
  read_experts(config, {.experts = "num_local_experts", .width = "intermediate_size", .may_normalise = false}, result);
  read_one_window(config, result);
  config.expect("attention_bias", false);
  read_rope(config, result, {.base = 1e6});
}

void read_qwen2_moe(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  read_experts(config, {.shared_width = "shared_expert_intermediate_size", .some_layers = true}, result);
  biases(result, {"attn_q", "attn_k", "attn_v"}, config.boolean("qkv_bias", true));
  read_qwen_windows(config, result, false);
  read_rope(config, result);
}

void read_qwen3_moe(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  result.parameters["query_norm"] = "head";
  // An attribute of transformers has two names.
  const bool older = config.has("num_experts");
  if (older && config.has("num_local_experts")) config.expect("num_local_experts", *config.find("num_experts"));
  read_experts(config, {.experts = older ? "num_experts" : "num_local_experts", .some_layers = true}, result);
  attention_biases(result, config.boolean("attention_bias", false));
  config.expect("use_sliding_window", false);
  config.skip("sliding_window");
  config.skip("max_window_layers");
  read_rope(config, result);
}

void read_olmoe(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  result.parameters["query_norm"] = "all";
  read_experts(config, {.width = "intermediate_size"}, result);
  attention_biases(result, config.boolean("attention_bias", false));
  config.expect("clip_qkv", nullptr);
  read_rope(config, result);
}

void read_granite_moe(ConfigReader& config, HuggingFaceConfig& result) {
  read_granite(config, result);
  read_experts(config,
               {.experts = "num_local_experts",
                .width = "intermediate_size",
                .shared_width = "shared_intermediate_size",
                .may_normalise = false},
               result);
}

void read_gemma_sizes(ConfigReader& config, HuggingFaceConfig& result, const char* activation) {
  SizeKeys keys;
  keys.activation = activation;
  keys.activation_if_missing = "gelu_pytorch_tanh";
  read_sizes(config, keys, result);
  if (!config.has("head_dim")) config.fail("head_dim", "an integer above zero");
  result.parameters["embedding_scale"] = std::sqrt(result.parameters["width"].get<double>());
  result.norm_offset = 1;
  attention_biases(result, config.boolean("attention_bias", false));
  config.expect("use_bidirectional_attention", false);
}

void read_gemma(ConfigReader& config, HuggingFaceConfig& result) {
  // Versions of transformers differ in which of both keys they look at, and in what "gelu" alone means.
  const bool newer = config.find("hidden_activation") != nullptr;
  if (newer) config.skip("hidden_act");
  if (!newer && config.find_text("hidden_act") == "gelu") {
    config.fail("hidden_act", "gelu_pytorch_tanh, or a hidden_activation beside it");
  }
  read_gemma_sizes(config, result, newer ? "hidden_activation" : "hidden_act");
  read_rope(config, result);
}

/// What Gemma 2 and 3 share.
void read_later_gemma(ConfigReader& config, HuggingFaceConfig& result, double attention_cap, double logits_cap,
                      bool (*slides)(std::int64_t)) {
  config.skip("hidden_act");
  read_gemma_sizes(config, result, "hidden_activation");
  nlohmann::json& p = result.parameters;
  p["norm_place"] = "both";
  p["attention_scale"] = 1 / std::sqrt(config.find_positive("query_pre_attn_scalar").value_or(256));
  // Null is none; a missing key is the family's default.
  const auto cap = [&](const char* key, double otherwise) {
    return config.has(key) ? config.find_positive(key).value_or(0) : otherwise;
  };
  p["attention_softcap"] = cap("attn_logit_softcapping", attention_cap);
  p["logits_softcap"] = cap("final_logit_softcapping", logits_cap);
  read_windows(config, result, config.find_size("sliding_window").value_or(4096), slides);
}

void read_gemma2(ConfigReader& config, HuggingFaceConfig& result) {
  read_later_gemma(config, result, 50, 30, [](std::int64_t layer) { return layer % 2 == 0; });
  read_rope(config, result);
}

void read_gemma3(ConfigReader& config, HuggingFaceConfig& result) {
  for (const char* key : {"sliding_window_pattern", "_sliding_window_pattern"}) {
    if (!config.has("layer_types")) config.expect(key, 6);
    config.skip(key);
  }
  read_later_gemma(config, result, 0, 0, [](std::int64_t layer) { return (layer + 1) % 6 != 0; });
  result.parameters["query_norm"] = "head";
  // transformers 5 has a rope for each kind of layer, 4 a second base.
  const nlohmann::json* both = config.find("rope_parameters");
  if (both == nullptr || !both->is_object() || !both->contains("full_attention")) {
    read_rope(config, result, {.base = 1e6});
    result.parameters["local_rope_base"] = config.find_positive("rope_local_base_freq").value_or(10000);
    return;
  }
  ConfigReader kinds(*both, "config.json, rope_parameters");
  const auto kind = [&](const char* name, double base, HuggingFaceConfig& of_kind) {
    const nlohmann::json* rope = kinds.find(name);
    if (rope == nullptr) kinds.fail(name, "an object");
    const nlohmann::json alone = {{"rope_parameters", *rope}};
    ConfigReader reader(alone, std::string("config.json, ") + name);
    read_rope(reader, of_kind, {.base = base});
  };
  kind("full_attention", 1e6, result);
  HuggingFaceConfig local = result;
  local.rope_factors.clear();
  kind("sliding_attention", 1e4, local);
  if (!local.rope_factors.empty() || local.context_matters != result.context_matters)
    kinds.fail("sliding_attention", "a rope of type default");
  kinds.refuse_unread(false);
  result.parameters["local_rope_base"] = local.parameters["rope_base"];
}

void read_phi3(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  read_one_window(config, result);
  config.skip("original_max_position_embeddings");  // of kinds of rope that look at it
  config.expect("attention_bias", false);
  read_rope(config, result, {.partial = 1.0, .original_context = 4096});
}

void read_phimoe(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  result.parameters["norm"] = "layer_norm";
  read_experts(config,
               {.experts = "num_local_experts",
                .width = "intermediate_size",
                .may_normalise = false,
                .jitter_is_threshold = true},
               result);
  config.skip("input_jitter_noise");  // of training alone
  read_one_window(config, result);
  attention_biases(result, config.boolean("attention_bias", false));
  result.output_biased = config.boolean("lm_head_bias", false);
  read_rope(config, result, {.base = 1e6, .has_scales = true});
}

void read_phi(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = "layer_norm_eps";
  keys.activation_if_missing = "gelu_new";
  read_sizes(config, keys, result);
  layer_norms(result);
  result.parameters["norm_place"] = "parallel";
  attention_biases(result, true);
  ffn_biases(result, true);
  if (config.boolean("qk_layernorm", false)) result.parameters["query_norm"] = "head";
  read_rope(config, result, {.partial = 0.5});
}

void read_stablelm(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = "layer_norm_eps";
  read_sizes(config, keys, result);
  result.parameters["norm"] = "layer_norm";
  if (config.boolean("use_parallel_residual", false)) result.parameters["norm_place"] = "parallel";
  biases(result, {"attn_q", "attn_k", "attn_v"}, config.boolean("use_qkv_bias", false));
  config.expect("qk_layernorm", false);
  read_rope(config, result, {.partial = 0.25});
}

void read_starcoder2(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = "norm_epsilon";
  keys.activation_if_missing = "gelu_pytorch_tanh";
  read_sizes(config, keys, result);
  layer_norms(result);
  read_one_window(config, result);
  config.expect("mlp_type", "default");
  config.expect("norm_type", "layer_norm");
  const bool biased = config.boolean("use_bias", true);
  attention_biases(result, biased);
  ffn_biases(result, biased);
  read_rope(config, result);
}

constexpr SizeKeys kGpt2Keys = {.width = "n_embd",
                                .layers = "n_layer",
                                .heads = "n_head",
                                .kv_heads = nullptr,
                                .ffn_width = "n_inner",
                                .ffn_is_named = false,
                                .context = "n_positions",
                                .norm_eps = "layer_norm_epsilon",
                                .activation = "activation_function",
                                .activation_if_missing = "gelu_new"};

void read_gpt2(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, kGpt2Keys, result);
  layer_norms(result);
  attention_biases(result, true);
  ffn_biases(result, true);
  if (!config.boolean("scale_attn_weights", true)) result.parameters["attention_scale"] = 1.0;
  config.expect("scale_attn_by_inverse_layer_idx", false);
}

void read_gptj(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, kGpt2Keys, result);
  layer_norms(result);
  result.parameters["norm_place"] = "parallel";
  ffn_biases(result, true);
  const std::int64_t head_dim = result.parameters["head_dim"].get<std::int64_t>();
  const auto named = config.find_size("rotary_dim");
  const std::int64_t dims = named.value_or(64);
  if ((!named && config.has("rotary_dim")) || dims > head_dim || dims % 2 != 0) {
    config.fail("rotary_dim", fmt::format("an even number up to {}, the width of a head", head_dim));
  }
  config.expect("rotary", true);
  config.expect("scale_attn_weights", true);
  result.parameters.update({{"rope_dims", dims}, {"rope_base", 10000.0}, {"rope_layout", "interleaved"}});
}

void read_gpt_neox(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.kv_heads = nullptr;
  keys.norm_eps = "layer_norm_eps";
  keys.activation_if_missing = "gelu";
  read_sizes(config, keys, result);
  layer_norms(result);
  if (config.boolean("use_parallel_residual", true)) result.parameters["norm_place"] = "parallel";
  attention_biases(result, config.boolean("attention_bias", true));
  ffn_biases(result, true);
  // transformers 4 has names of its own for two numbers of its rope.
  const double partial = config.find_positive("rotary_pct").value_or(0.25);
  read_rope(config, result, {.partial = partial, .older_base_key = "rotary_emb_base"});
}

void read_opt(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.kv_heads = nullptr;
  keys.ffn_width = "ffn_dim";
  keys.norm_eps = nullptr;
  keys.activation = "activation_function";
  keys.activation_if_missing = "relu";
  read_sizes(config, keys, result);
  layer_norms(result);
  result.parameters["norm_eps"] = 1e-5;  // PyTorch's
  result.skipped_positions = 2;
  config.skip("activation_dropout");
  if (!config.boolean("do_layer_norm_before", true)) result.parameters["norm_place"] = "after";
  config.expect("_remove_final_layer_norm", false);
  config.expect("layer_norm_elementwise_affine", true);
  const std::int64_t width = result.parameters["width"].get<std::int64_t>();
  const std::int64_t embedding_width = config.find_size("word_embed_proj_dim").value_or(width);
  if (embedding_width != width) result.parameters["embedding_width"] = embedding_width;
  const bool biased = config.boolean("enable_bias", true);
  attention_biases(result, biased);
  ffn_biases(result, biased);
}

void read_bloom(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.width = config.has("hidden_size") ? "hidden_size" : "n_embed";
  keys.layers = config.has("n_layer") ? "n_layer" : "num_hidden_layers";
  keys.heads = config.has("n_head") ? "n_head" : "num_attention_heads";
  keys.kv_heads = keys.ffn_width = keys.context = keys.activation = nullptr;
  keys.ffn_is_named = false;
  keys.norm_eps = "layer_norm_epsilon";
  read_sizes(config, keys, result);
  layer_norms(result);
  result.parameters["activation"] = "gelu_tanh";
  // Slopes know no end; what the model was trained with is named in most configs.
  result.parameters["context"] = config.find_size("seq_length").value_or(2048);
  result.parameters["alibi"] = true;
  config.expect("apply_residual_connection_post_layernorm", false);
  config.expect("offset_alibi", 100);
  config.skip("slow_but_exact");  // how it is computed
  attention_biases(result, true);
  ffn_biases(result, true);
}

/// To the nearest number of 8 significant bits, ties to even.
float as_bf16(double value) {
  const float single = static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint32_t>(single);
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000U);
}

/// What the position of a key adds to the scores, [positions, heads]: Falcon-RW rounds slopes, positions and their
/// products to bf16, whatever type it computes in, and scales them like the scores.
std::vector<float> falcon_slopes(std::int64_t heads, std::int64_t positions, std::int64_t head_dim) {
  const auto floor = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  std::vector<float> table;
  for (std::int64_t position = 0; position < positions; ++position) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const double place = static_cast<double>(head < floor ? head + 1 : 2 * (head - floor) + 1);
      const double slope = std::exp2(-8.0 * place / static_cast<double>(head < floor ? floor : 2 * floor));
      const float product = as_bf16(as_bf16(slope) * as_bf16(static_cast<double>(position)));
      table.push_back(static_cast<float>(scale * product));
    }
  }
  return table;
}

void read_falcon(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.kv_heads = nullptr;
  keys.ffn_width = "ffn_hidden_size";
  keys.ffn_is_named = false;
  keys.context = nullptr;
  keys.norm_eps = "layer_norm_epsilon";
  keys.activation = "activation";
  keys.activation_if_missing = "gelu";
  read_sizes(config, keys, result);
  layer_norms(result);
  nlohmann::json& p = result.parameters;
  p["context"] = config.find_size("max_position_embeddings").value_or(2048);
  const bool newer = config.boolean("new_decoder_architecture", false);
  const bool multi_query = config.boolean("multi_query", true);
  const auto groups = config.find_size("num_kv_heads");
  p["kv_heads"] = newer         ? groups.value_or(p["heads"].get<std::int64_t>())
                  : multi_query ? 1
                                : p["heads"].get<std::int64_t>();
  const bool parallel = config.boolean("parallel_attn", true);
  if (newer || parallel) p["norm_place"] = "parallel";
  config.expect("apply_residual_connection_post_layernorm", false);
  config.find_size("num_ln_in_parallel_attn");  // the tensors say so too
  const bool biased = config.boolean("bias", false);
  attention_biases(result, biased);
  ffn_biases(result, biased);
  if (!config.boolean("alibi", false)) return read_rope(config, result);
  p["alibi"] = true;
  for (const char* key : {"rope_theta", "rope_parameters", "rope_scaling"}) config.skip(key);
  const auto heads = p["heads"].get<std::int64_t>();
  const auto positions = p["context"].get<std::int64_t>();
  if (heads > 4096 || positions > (1 << 20)) config.fail("alibi", "false in a model as large as this");
  result.alibi = falcon_slopes(heads, positions, p["head_dim"].get<std::int64_t>());
}

void read_olmo(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = nullptr;
  read_sizes(config, keys, result);
  result.parameters["norm"] = "layer_norm";
  result.parameters["norm_eps"] = 1e-5;
  result.norms_have_weights = result.norms_have_biases = false;
  attention_biases(result, config.boolean("attention_bias", false));
  result.parameters["clip_qkv"] = config.find_positive("clip_qkv").value_or(0);
  read_rope(config, result);
}

void read_olmo3(ConfigReader& config, HuggingFaceConfig& result) {
  read_olmo2(config, result);
  const std::int64_t window =
      config.has("sliding_window") ? config.find_size("sliding_window").value_or(0) : std::int64_t{4096};
  read_windows(config, result, window, [](std::int64_t layer) { return (layer + 1) % 4 != 0; });
  nlohmann::json& p = result.parameters;
  if (p.contains("windows") && (!result.rope_factors.empty() || p.contains("rope_scale"))) {
    p["local_rope_base"] = p["rope_base"];
    result.notes.push_back(
        "rotary positions are stretched in layers without a window alone, as OLMo 3 was trained; transformers 5 "
        "stretches them in all");
  }
}

void read_smollm3(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  const std::int64_t layers = std::min<std::int64_t>(result.parameters["layers"].get<std::int64_t>(), 10000);
  const std::int64_t interval = config.find_size("no_rope_layer_interval").value_or(4);
  const nlohmann::json* turned = config.find("no_rope_layers");  // 1: with rotary positions
  if (turned != nullptr &&
      (!turned->is_array() || turned->size() < static_cast<std::size_t>(layers) ||
       !std::ranges::all_of(*turned, [](const nlohmann::json& each) { return each == 0 || each == 1; }))) {
    config.fail("no_rope_layers",
                fmt::format("a list of {} numbers, 1 where a layer has rotary positions, else 0", layers));
  }
  std::vector<std::int64_t> unturned;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const bool turns =
        turned == nullptr ? (layer + 1) % interval != 0 : (*turned)[static_cast<std::size_t>(layer)] == 1;
    if (!turns) unturned.push_back(layer);
  }
  result.parameters["unturned_layers"] = unturned;
  const bool slides = config.boolean("use_sliding_window", false);
  if (!slides) config.skip("sliding_window");
  config.skip("max_window_layers");  // of Qwen's configs, from which SmolLM3's are copied
  const std::int64_t window = slides ? config.find_size("sliding_window").value_or(0) : 0;
  read_windows(config, result, window,
               [&](std::int64_t layer) { return window > 0 && std::ranges::binary_search(unturned, layer); });
  attention_biases(result, config.boolean("attention_bias", false));
  ffn_biases(result, config.boolean("mlp_bias", false));
  read_rope(config, result, {.base = 2e6});
}

void read_gpt_bigcode(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys = kGpt2Keys;
  keys.activation_if_missing = "gelu_pytorch_tanh";
  read_sizes(config, keys, result);
  layer_norms(result);
  if (config.boolean("multi_query", true)) result.parameters["kv_heads"] = 1;
  attention_biases(result, true);
  ffn_biases(result, true);
  if (!config.boolean("scale_attn_weights", true)) result.parameters["attention_scale"] = 1.0;
  // How and where it is computed.
  for (const char* key :
       {"attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "validate_runner_input",
        "max_batch_size", "pad_key_length", "pre_allocate_kv_cache", "num_key_value_heads"}) {
    config.skip(key);
  }
}

void read_mpt(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys{.width = "d_model", .layers = "n_layers", .heads = "n_heads"};
  keys.kv_heads = keys.ffn_width = keys.activation = nullptr;
  keys.ffn_is_named = false;
  keys.context = "max_seq_len";
  keys.norm_eps = config.has("layer_norm_epsilon") ? "layer_norm_epsilon" : nullptr;
  read_sizes(config, keys, result);
  layer_norms(result);
  nlohmann::json& p = result.parameters;
  if (keys.norm_eps == nullptr) p["norm_eps"] = 1e-5;
  p["activation"] = "gelu";
  p["alibi"] = true;
  result.norms_have_biases = false;
  config.expect("expansion_ratio", 4);
  config.expect("no_bias", true);
  config.expect("logit_scale", nullptr);
  // Of training, of where it is computed, and what slopes take the place of.
  for (const char* key : {"embedding_fraction", "emb_pdrop", "init_config", "init_device", "learned_pos_emb",
                          "norm_type", "tokenizer_name", "verbose", "use_pad_tok_in_ffn"}) {
    config.skip(key);
  }
  const nlohmann::json* own = config.find("attn_config");
  if (own == nullptr) return;
  ConfigReader attention(*own, "config.json, attn_config");
  attention.expect("attn_type", "multihead_attention");
  attention.expect("alibi", true);
  attention.expect("alibi_bias_max", 8);
  attention.expect("prefix_lm", false);
  attention.expect("qk_ln", false);
  attention.expect("attn_uses_sequence_id", false);
  attention.skip("attn_impl");
  p["clip_qkv"] = attention.find_positive("clip_qkv").value_or(0);
  p["attention_scale"] = attention.find_positive("softmax_scale").value_or(0);
  attention.refuse_unread();
}

void read_cohere(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = "layer_norm_eps";
  read_sizes(config, keys, result);
  result.parameters["norm"] = "layer_norm";
  result.parameters["norm_place"] = "parallel";
  result.norms_have_biases = false;
  result.parameters["logits_scale"] = config.find_positive("logit_scale").value_or(0.0625);
  config.expect("use_qk_norm", false);  // a norm of its own for each head
  attention_biases(result, config.boolean("attention_bias", false));
  // Versions of transformers differ in what a config means that does not say it.
  if (!config.has("rope_theta") && !config.has("rope_parameters")) config.fail("rope_theta", "a number above zero");
  read_rope(config, result, {.base = 5e5});
  result.parameters["rope_layout"] = "interleaved";
}

void read_nemotron(ConfigReader& config, HuggingFaceConfig& result) {
  SizeKeys keys;
  keys.norm_eps = "norm_eps";
  keys.activation = nullptr;
  read_sizes(config, keys, result);
  layer_norms(result);
  config.expect("hidden_act", "relu2");
  result.parameters["activation"] = "relu2";
  result.norm_offset = 1;
  attention_biases(result, config.boolean("attention_bias", false));
  ffn_biases(result, config.boolean("mlp_bias", false));
  read_rope(config, result, {.partial = 0.5});
}

void read_glm(ConfigReader& config, HuggingFaceConfig& result) {
  read_sizes(config, {}, result);
  if (!config.has("head_dim")) config.fail("head_dim", "an integer above zero");
  // Versions of transformers differ in what a config means that does not say it.
  if (!config.has("attention_bias")) config.fail("attention_bias", "true or false");
  biases(result, {"attn_q", "attn_k", "attn_v"}, config.boolean("attention_bias", true));
  read_rope(config, result, {.partial = 0.5});
  result.parameters["rope_layout"] = "interleaved";
}

void read_glm4(ConfigReader& config, HuggingFaceConfig& result) {
  read_glm(config, result);
  result.parameters["norm_place"] = "both";
}

constexpr HuggingFaceFamily kFamilies[] = {
    {"LlamaForCausalLM", "llama", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers, read_llama},
    {"MistralForCausalLM", "mistral", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers,
     read_mistral},
    {"Qwen2ForCausalLM", "qwen2", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers, read_qwen2},
    {"Qwen3ForCausalLM", "qwen3", false, "model.", "layers.", kNormedQueriesLayer, kLlamaOuter, kRotaryBuffers,
     read_qwen3},
    {"GemmaForCausalLM", "gemma", true, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers, read_gemma},
    {"Gemma2ForCausalLM", "gemma2", true, "model.", "layers.", kNormsOnBothSidesLayer, kLlamaOuter, kRotaryBuffers,
     read_gemma2},
    {"Gemma3ForCausalLM", "gemma3", true, "model.", "layers.", kNormsOnBothSidesLayer, kLlamaOuter, kRotaryBuffers,
     read_gemma3},
    {"Olmo2ForCausalLM", "olmo2", false, "model.", "layers.", kOlmo2Layer, kLlamaOuter, kRotaryBuffers, read_olmo2},
    {"OlmoForCausalLM", "olmo", false, "model.", "layers.", kOlmoLayer, kOlmoOuter, kRotaryBuffers, read_olmo},
    {"Olmo3ForCausalLM", "olmo3", false, "model.", "layers.", kOlmo2Layer, kLlamaOuter, kRotaryBuffers, read_olmo3},
    {"SmolLM3ForCausalLM", "smollm3", true, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers,
     read_smollm3},
    {"CohereForCausalLM", "cohere", true, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers, read_cohere},
    {"NemotronForCausalLM", "nemotron", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers,
     read_nemotron},
    {"GlmForCausalLM", "glm", false, "model.", "layers.", kGlmLayer, kLlamaOuter, kRotaryBuffers, read_glm},
    {"Glm4ForCausalLM", "glm4", false, "model.", "layers.", kGlmLayer, kLlamaOuter, kRotaryBuffers, read_glm4},
    {"GraniteForCausalLM", "granite", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers,
     read_granite},
    {"MixtralForCausalLM", "mixtral", false, "model.", "layers.", kMixtralLayer, kLlamaOuter, kRotaryBuffers,
     read_mixtral},
    {"Qwen2MoeForCausalLM", "qwen2_moe", false, "model.", "layers.", kQwenMoeLayer, kLlamaOuter, kRotaryBuffers,
     read_qwen2_moe},
    {"Qwen3MoeForCausalLM", "qwen3_moe", false, "model.", "layers.", kQwenMoeLayer, kLlamaOuter, kRotaryBuffers,
     read_qwen3_moe},
    {"OlmoeForCausalLM", "olmoe", false, "model.", "layers.", kQwenMoeLayer, kLlamaOuter, kRotaryBuffers, read_olmoe},
    {"GraniteMoeForCausalLM", "granite_moe", false, "model.", "layers.", kGraniteMoeLayer, kLlamaOuter, kRotaryBuffers,
     read_granite_moe},
    {"GraniteMoeSharedForCausalLM", "granite_moe", false, "model.", "layers.", kGraniteMoeLayer, kLlamaOuter,
     kRotaryBuffers, read_granite_moe},
    {"StableLmForCausalLM", "stablelm", false, "model.", "layers.", kLlamaLayer, kLlamaOuter, kRotaryBuffers,
     read_stablelm},
    {"Phi3ForCausalLM", "phi3", false, "model.", "layers.", kPhi3Layer, kLlamaOuter, kRotaryBuffers, read_phi3},
    {"PhimoeForCausalLM", "phimoe", false, "model.", "layers.", kPhimoeLayer, kLlamaOuter, kRotaryBuffers, read_phimoe},
    {"PhiMoEForCausalLM", "phimoe", false, "model.", "layers.", kPhimoeLayer, kLlamaOuter, kRotaryBuffers, read_phimoe},
    {"PhiForCausalLM", "phi", false, "model.", "layers.", kPhiLayer, kPhiOuter, kRotaryBuffers, read_phi},
    {"Starcoder2ForCausalLM", "starcoder2", true, "model.", "layers.", kStarcoder2Layer, kLlamaOuter, kRotaryBuffers,
     read_starcoder2},
    {"GPT2LMHeadModel", "gpt2", true, "transformer.", "h.", kGpt2Layer, kGpt2Outer, kMaskBuffers, read_gpt2},
    {"GPTBigCodeForCausalLM", "gpt_bigcode", true, "transformer.", "h.", kGptBigCodeLayer, kGpt2Outer, kMaskBuffers,
     read_gpt_bigcode},
    {"MptForCausalLM", "mpt", true, "transformer.", "blocks.", kMptLayer, kMptOuter, {}, read_mpt},
    {"MPTForCausalLM", "mpt", true, "transformer.", "blocks.", kMptLayer, kMptOuter, {}, read_mpt},
    {"GPTJForCausalLM", "gptj", false, "transformer.", "h.", kGptJLayer, kGpt2Outer, kMaskBuffers, read_gptj},
    {"GPTNeoXForCausalLM", "gpt_neox", false, "gpt_neox.", "layers.", kGptNeoxLayer, kGptNeoxOuter, kGptNeoxBuffers,
     read_gpt_neox},
    {"OPTForCausalLM", "opt", true, "model.decoder.", "layers.", kOptLayer, kOptOuter, {}, read_opt},
    {"BloomForCausalLM", "bloom", true, "transformer.", "h.", kFalconLayer, kBloomOuter, {}, read_bloom},
    {"FalconForCausalLM", "falcon", true, "transformer.", "h.", kFalconLayer, kBloomOuter, kFalconBuffers, read_falcon},
};

}  // namespace

std::span<const HuggingFaceFamily> huggingface_families() { return kFamilies; }

}  // namespace heed::convert
