#include "tools/convert/huggingface_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>
#include <string_view>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

/// Keys that change nothing of what the model computes, whatever their value: names, training, defaults of generate(),
/// classification heads, the kernel that attention runs in, code for those who trust it (transformers has its own for
/// the architectures that are read here).
constexpr auto kHarmless = std::to_array<std::string_view>({"_attn_implementation",
                                                            "_attn_implementation_autoset",
                                                            "_attn_implementation_internal",
                                                            "_commit_hash",
                                                            "_flash_attn_2_enabled",
                                                            "_from_model_config",
                                                            "_name_or_path",
                                                            "_num_labels",
                                                            "attention_dropout",
                                                            "attn_implementation",
                                                            "attn_pdrop",
                                                            "auto_map",
                                                            "bad_words_ids",
                                                            "begin_suppress_tokens",
                                                            "bos_token_id",
                                                            "cache_implementation",
                                                            "classifier_dropout",
                                                            "cls_token_id",
                                                            "decoder_start_token_id",
                                                            "diversity_penalty",
                                                            "do_sample",
                                                            "dtype",
                                                            "early_stopping",
                                                            "embd_pdrop",
                                                            "encoder_no_repeat_ngram_size",
                                                            "eos_token_id",
                                                            "epsilon_cutoff",
                                                            "eta_cutoff",
                                                            "exponential_decay_length_penalty",
                                                            "finetuning_task",
                                                            "forced_bos_token_id",
                                                            "forced_eos_token_id",
                                                            "gradient_checkpointing",
                                                            "guidance_scale",
                                                            "hidden_dropout",
                                                            "id2label",
                                                            "initializer_range",
                                                            "label2id",
                                                            "length_penalty",
                                                            "low_memory",
                                                            "mask_token_id",
                                                            "max_length",
                                                            "max_new_tokens",
                                                            "max_sequence_length",
                                                            "max_time",
                                                            "min_length",
                                                            "min_new_tokens",
                                                            "min_p",
                                                            "model_max_length",
                                                            "model_type",
                                                            "n_ctx",
                                                            "n_special",
                                                            "neftune_noise_alpha",
                                                            "no_repeat_ngram_size",
                                                            "num_beam_groups",
                                                            "num_beams",
                                                            "num_labels",
                                                            "num_return_sequences",
                                                            "output_attentions",
                                                            "output_hidden_states",
                                                            "output_logits",
                                                            "output_past",
                                                            "output_scores",
                                                            "pad_token_id",
                                                            "penalty_alpha",
                                                            "predict_special_tokens",
                                                            "prefix",
                                                            "pretraining_tp",
                                                            "problem_type",
                                                            "remove_invalid_values",
                                                            "renormalize_logits",
                                                            "reorder_and_upcast_attn",
                                                            "repetition_penalty",
                                                            "resid_pdrop",
                                                            "return_dict",
                                                            "return_dict_in_generate",
                                                            "sep_token_id",
                                                            "summary_activation",
                                                            "summary_first_dropout",
                                                            "summary_proj_to_labels",
                                                            "summary_type",
                                                            "summary_use_proj",
                                                            "suppress_tokens",
                                                            "task_specific_params",
                                                            "temperature",
                                                            "tf_legacy_loss",
                                                            "token_healing",
                                                            "tokenizer_class",
                                                            "tokenizer_padding_side",
                                                            "top_k",
                                                            "top_p",
                                                            "torch_dtype",
                                                            "torchscript",
                                                            "transformers.js_config",
                                                            "transformers_version",
                                                            "typical_p",
                                                            "unk_token_id",
                                                            "unsloth_fixed",
                                                            "unsloth_version",
                                                            "use_bfloat16",
                                                            "use_cache",
                                                            "use_flash_attention_2",
                                                            "use_return_dict",
                                                            "xla_device"});

/// Hands out the keys of a JSON object and remembers which were asked for. Null counts as absent: transformers writes
/// it for options that are not used.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& config, std::string where) : config_(config), where_(std::move(where)) {
    if (!config.is_object()) throw Error(fmt::format("{} is not a JSON object", where_));
  }

  [[noreturn]] void fail(const char* key, const std::string& expected) const {
    const auto found = config_.find(key);
    if (found == config_.end()) throw Error(fmt::format("{}: '{}' is missing; expected {}", where_, key, expected));
    throw Error(
        fmt::format("{}: '{}' is {}, which heed does not support; expected {}", where_, key, shown(*found), expected));
  }

  /// Two values of which one must be wrong.
  [[noreturn]] void contradict(const std::string& first, const std::string& second) const {
    throw Error(fmt::format("{}: {}, but {}; they contradict each other", where_, first, second));
  }

  bool has(const char* key) const { return config_.contains(key); }

  const nlohmann::json* find(const char* key) {
    read_.insert(key);
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? nullptr : &*found;
  }

  std::optional<std::int64_t> find_size(const char* key) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    const auto size = natural(*value);
    if (!size || *size == 0 || *size > INT32_MAX) fail(key, fmt::format("an integer from 1 to {}", INT32_MAX));
    return static_cast<std::int64_t>(*size);
  }
  std::int64_t size(const char* key) {
    const auto value = find_size(key);
    if (!value) fail(key, "an integer above zero");
    return *value;
  }

  std::optional<double> find_positive(const char* key) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() <= 0) {
      fail(key, "a finite number above zero");
    }
    return value->get<double>();
  }
  double positive(const char* key) {
    const auto value = find_positive(key);
    if (!value) fail(key, "a finite number above zero");
    return *value;
  }

  bool boolean(const char* key, bool otherwise) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }

  std::optional<std::string> find_text(const char* key) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail(key, "a string");
    return value->get<std::string>();
  }

  /// The activation in heed's name.
  std::string activation(const char* key, const char* otherwise) {
    const std::string name = find_text(key).value_or(otherwise);
    if (name == "silu" || name == "swish") return "silu";
    if (name == "gelu") return "gelu";
    if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return "gelu_tanh";
    if (name == "relu") return "relu";
    fail(key, "silu, gelu, gelu_new, gelu_pytorch_tanh or relu");
  }

  /// Keys that heed knows with one value only.
  void expect(const char* key, const nlohmann::json& value) {
    const nlohmann::json* found = find(key);
    if (found != nullptr && *found != value) fail(key, value.dump());
  }

  void refuse_unread(bool harmless_too = true) const {
    for (const auto& [key, value] : config_.items()) {
      if (read_.contains(key) || value.is_null()) continue;
      if (harmless_too && std::ranges::find(kHarmless, key) != kHarmless.end()) continue;
      throw Error(
          fmt::format("{}: {} is not known to heed and may change what the model computes", where_, in_quotes(key)));
    }
  }

 private:
  const nlohmann::json& config_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

/// The numbers that divide the angles of Llama 3.1's rotary positions: long wavelengths are stretched by `factor`,
/// short ones kept, those between blended (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<float> llama3_factors(ConfigReader& rope, double base, std::int64_t dims) {
  const double factor = rope.positive("factor");
  const double low = rope.positive("low_freq_factor");
  const double high = rope.positive("high_freq_factor");
  const double context = rope.positive("original_max_position_embeddings");
  if (high <= low) rope.fail("high_freq_factor", "more than low_freq_factor");
  std::vector<float> factors;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double divisor = factor;
    if (wavelength < context / high) {
      divisor = 1;
    } else if (wavelength <= context / low) {
      const double smooth = (context / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

/// Rotary positions: transformers 5 keeps all in "rope_parameters"; 4 has "rope_theta" and "rope_scaling".
void read_rope(ConfigReader& config, HuggingFaceConfig& result) {
  const auto outer_base = config.find_positive("rope_theta");
  const nlohmann::json* parameters = config.find("rope_parameters");
  const nlohmann::json* scaling = config.find("rope_scaling");
  if (parameters != nullptr && scaling != nullptr && *parameters != *scaling) {
    config.contradict(fmt::format("'rope_scaling' is {}", shown(*scaling)),
                      fmt::format("'rope_parameters' is {}", shown(*parameters)));
  }
  const std::int64_t dims = result.parameters["head_dim"].get<std::int64_t>();
  if (dims % 2 != 0 || dims > (1 << 20)) config.fail("head_dim", "an even number up to 2^20");
  double base = outer_base.value_or(10000);
  if (parameters != nullptr || scaling != nullptr) {
    const char* name_of_rope = parameters != nullptr ? "rope_parameters" : "rope_scaling";
    ConfigReader rope(parameters != nullptr ? *parameters : *scaling, fmt::format("config.json, {}", name_of_rope));
    const auto inner_base = rope.find_positive("rope_theta");
    if (inner_base && outer_base && *inner_base != *outer_base) {
      config.contradict(fmt::format("'rope_theta' is {}", *outer_base),
                        fmt::format("'rope_theta' inside '{}' is {}", name_of_rope, *inner_base));
    }
    base = inner_base.value_or(base);
    rope.expect("partial_rotary_factor", 1.0);
    const auto type = rope.find_text("rope_type");
    const auto older = rope.find_text("type");
    if (type && older && *type != *older) {
      rope.contradict(fmt::format("'rope_type' is {}", in_quotes(*type)),
                      fmt::format("'type' is {}", in_quotes(*older)));
    }
    const std::string name = type.value_or(older.value_or("default"));
    if (name == "linear") {
      result.rope_factors.assign(static_cast<std::size_t>(dims / 2), static_cast<float>(rope.positive("factor")));
    } else if (name == "llama3") {
      result.rope_factors = llama3_factors(rope, base, dims);
    } else if (name != "default") {
      rope.fail(type ? "rope_type" : "type", "default, linear or llama3");
    }
    rope.refuse_unread(false);
  }
  config.expect("partial_rotary_factor", 1.0);
  result.parameters["rope_base"] = base;
  result.parameters["rope_layout"] = "half";
  result.parameters["rope_dims"] = dims;
}

void read_llama(ConfigReader& config, bool mistral, HuggingFaceConfig& result) {
  const std::int64_t width = config.size("hidden_size");
  const std::int64_t heads = config.size("num_attention_heads");
  const auto head_dim = config.find_size("head_dim");
  if (!head_dim && width % heads != 0)
    config.fail("num_attention_heads", fmt::format("a divisor of hidden_size, {}", width));
  // MistralConfig's own default of 8 is older than most checkpoints: it must be spelled out.
  const auto kv_heads = config.find_size("num_key_value_heads");
  if (mistral && !kv_heads) config.fail("num_key_value_heads", "an integer above zero");
  result.family = "llama";
  result.parameters = {{"width", width},
                       {"layers", config.size("num_hidden_layers")},
                       {"heads", heads},
                       {"kv_heads", kv_heads.value_or(heads)},
                       {"head_dim", head_dim.value_or(width / heads)},
                       {"ffn_width", config.size("intermediate_size")},
                       {"vocabulary", config.size("vocab_size")},
                       {"context", config.size("max_position_embeddings")},
                       {"norm_eps", config.positive("rms_norm_eps")},
                       {"activation", config.activation("hidden_act", "silu")},
                       {"window", 0}};
  if (mistral) {
    if (!config.has("sliding_window")) config.fail("sliding_window", "a number or null");
    result.parameters["window"] = config.find_size("sliding_window").value_or(0);
    config.expect("attention_bias", false);
    config.expect("mlp_bias", false);
  } else {
    config.expect("sliding_window", false);
    config.expect("use_sliding_window", false);
    config.expect("rope_interleaved", false);
    config.boolean("is_llama_config", false);  // of a converter, either way
    result.attention_bias = config.boolean("attention_bias", false);
    result.ffn_bias = config.boolean("mlp_bias", false);
  }
  result.tied = config.boolean("tie_word_embeddings", false);
  read_rope(config, result);
}

void read_gpt2(ConfigReader& config, HuggingFaceConfig& result) {
  const std::int64_t width = config.size("n_embd");
  result.family = "gpt2";
  result.parameters = {{"width", width},
                       {"layers", config.size("n_layer")},
                       {"heads", config.size("n_head")},
                       {"ffn_width", config.find_size("n_inner").value_or(4 * width)},
                       {"vocabulary", config.size("vocab_size")},
                       {"context", config.size("n_positions")},
                       {"norm_eps", config.positive("layer_norm_epsilon")},
                       {"activation", config.activation("activation_function", "gelu_new")},
                       {"scale_attention", config.boolean("scale_attn_weights", true)}};
  config.expect("scale_attn_by_inverse_layer_idx", false);
  result.tied = config.boolean("tie_word_embeddings", true);
}

/// One id, a list of ids or null.
std::vector<std::int32_t> token_ids(const nlohmann::json& file, const char* name, std::int64_t vocabulary) {
  const auto found = file.is_object() ? file.find("eos_token_id") : file.end();
  if (!file.is_object() || found == file.end() || found->is_null()) return {};
  const nlohmann::json list = found->is_array() ? *found : nlohmann::json::array({*found});
  std::vector<std::int32_t> ids;
  for (const nlohmann::json& id : list) {
    if (natural(id).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary)) {
      throw Error(
          fmt::format("{}: 'eos_token_id' holds {}; expected ids below vocab_size, {}", name, shown(id), vocabulary));
    }
    const auto token = id.get<std::int32_t>();
    if (std::ranges::find(ids, token) == ids.end()) ids.push_back(token);
  }
  return ids;
}

}  // namespace

HuggingFaceConfig read_huggingface_config(const nlohmann::json& config, const nlohmann::json& generation_config) {
  ConfigReader reader(config, "config.json");
  const nlohmann::json* architectures = reader.find("architectures");
  if (architectures == nullptr || !architectures->is_array() || architectures->size() != 1 ||
      !architectures->front().is_string()) {
    reader.fail("architectures", "a list of one name");
  }
  HuggingFaceConfig result;
  const std::string architecture = architectures->front().get<std::string>();
  if (architecture == "LlamaForCausalLM" || architecture == "MistralForCausalLM") {
    read_llama(reader, architecture == "MistralForCausalLM", result);
  } else if (architecture == "GPT2LMHeadModel") {
    read_gpt2(reader, result);
  } else {
    reader.fail("architectures", "LlamaForCausalLM, MistralForCausalLM or GPT2LMHeadModel");
  }
  reader.expect("is_decoder", false);
  reader.expect("is_encoder_decoder", false);
  reader.expect("add_cross_attention", false);
  reader.expect("tie_encoder_decoder", false);
  reader.expect("chunk_size_feed_forward", 0);
  reader.expect("pruned_heads", nlohmann::json::object());
  reader.refuse_unread();

  const auto vocabulary = result.parameters["vocabulary"].get<std::int64_t>();
  result.end_tokens = token_ids(generation_config, "generation_config.json", vocabulary);
  if (result.end_tokens.empty()) result.end_tokens = token_ids(config, "config.json", vocabulary);
  return result;
}

}  // namespace heed::convert
